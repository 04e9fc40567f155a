//! The roles that tensors have in a model: their names, shapes, and which options call for them.
//!
//! One row per role, in the order in which the forward pass reads them; nothing else in the
//! project spells a tensor's name or shape. `docs/package-format.md` repeats the table.

use super::config::{FfnKind, ModelConfig, NormKind, NormPlace, PositionKind, QkNorm};

/// How a role's elements are held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Rows and columns, in any format of weights.
    Matrix,
    /// Factors of a normalization, f32, around 1.
    Norm,
    /// Summands, f32, around 0.
    Bias,
}

/// Declares the roles: documentation, variant, name, form.
macro_rules! roles {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $form:ident;)*) => {
        /// What a tensor does in a model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TensorRole { $($(#[$doc])* $variant,)* }

        impl TensorRole {
            /// Every role, in the order in which the forward pass reads them.
            pub const ALL: &[TensorRole] = &[$(TensorRole::$variant,)*];

            /// The name, or its last part for the tensors of a layer.
            pub const fn name(self) -> &'static str {
                match self { $(TensorRole::$variant => $name,)* }
            }

            const fn form(self) -> Form {
                match self { $(TensorRole::$variant => Form::$form,)* }
            }
        }
    };
}

roles! {
    /// `token_embedding` `[vocab_size, d_model]`
    TokenEmbedding = "token_embedding", Matrix;
    /// `position_embedding` `[context_len, d_model]`
    PositionEmbedding = "position_embedding", Matrix;
    /// `layers.N.attention_norm` `[d_model]`
    AttentionNorm = "attention_norm", Norm;
    /// `layers.N.attention_norm_bias` `[d_model]`
    AttentionNormBias = "attention_norm_bias", Bias;
    /// `layers.N.w_q` `[n_heads * head_dim, d_model]`
    Wq = "w_q", Matrix;
    /// `layers.N.b_q` `[n_heads * head_dim]`
    Bq = "b_q", Bias;
    /// `layers.N.w_k` `[n_kv_heads * head_dim, d_model]`
    Wk = "w_k", Matrix;
    /// `layers.N.b_k` `[n_kv_heads * head_dim]`
    Bk = "b_k", Bias;
    /// `layers.N.w_v` `[n_kv_heads * head_dim, d_model]`
    Wv = "w_v", Matrix;
    /// `layers.N.b_v` `[n_kv_heads * head_dim]`
    Bv = "b_v", Bias;
    /// `layers.N.q_norm` `[head_dim]`, or `[n_heads * head_dim]` for all heads together
    QNorm = "q_norm", Norm;
    /// `layers.N.k_norm` `[head_dim]`, or `[n_kv_heads * head_dim]` for all heads together
    KNorm = "k_norm", Norm;
    /// `layers.N.w_o` `[d_model, n_heads * head_dim]`
    Wo = "w_o", Matrix;
    /// `layers.N.b_o` `[d_model]`
    Bo = "b_o", Bias;
    /// `layers.N.attention_post_norm` `[d_model]`
    AttentionPostNorm = "attention_post_norm", Norm;
    /// `layers.N.attention_post_norm_bias` `[d_model]`
    AttentionPostNormBias = "attention_post_norm_bias", Bias;
    /// `layers.N.ffn_norm` `[d_model]`
    FfnNorm = "ffn_norm", Norm;
    /// `layers.N.ffn_norm_bias` `[d_model]`
    FfnNormBias = "ffn_norm_bias", Bias;
    /// `layers.N.w_gate` `[d_ff, d_model]`
    WGate = "w_gate", Matrix;
    /// `layers.N.b_gate` `[d_ff]`
    BGate = "b_gate", Bias;
    /// `layers.N.w_up` `[d_ff, d_model]`
    WUp = "w_up", Matrix;
    /// `layers.N.b_up` `[d_ff]`
    BUp = "b_up", Bias;
    /// `layers.N.w_down` `[d_model, d_ff]`
    WDown = "w_down", Matrix;
    /// `layers.N.b_down` `[d_model]`
    BDown = "b_down", Bias;
    /// `layers.N.ffn_post_norm` `[d_model]`
    FfnPostNorm = "ffn_post_norm", Norm;
    /// `layers.N.ffn_post_norm_bias` `[d_model]`
    FfnPostNormBias = "ffn_post_norm_bias", Bias;
    /// `final_norm` `[d_model]`
    FinalNorm = "final_norm", Norm;
    /// `final_norm_bias` `[d_model]`
    FinalNormBias = "final_norm_bias", Bias;
    /// `output` `[vocab_size, d_model]`; absent if tied
    Output = "output", Matrix;
}

use TensorRole::*;

impl TensorRole {
    /// Whether each layer has such a tensor, rather than the model.
    pub const fn is_in_layers(self) -> bool {
        !matches!(
            self,
            TokenEmbedding | PositionEmbedding | FinalNorm | FinalNormBias | Output
        )
    }

    /// Whether this is an embedding, read before the layers.
    pub(super) const fn is_before_layers(self) -> bool {
        matches!(self, TokenEmbedding | PositionEmbedding)
    }

    /// Whether this is a vector of one dimension, always f32: a norm's factors or a bias.
    pub const fn is_vector(self) -> bool {
        !matches!(self.form(), Form::Matrix)
    }

    /// Whether this is a vector of factors, the weight of a normalization.
    pub const fn is_norm(self) -> bool {
        matches!(self.form(), Form::Norm)
    }

    /// The bias that belongs to this matrix or norm; whether a model has it, its options say.
    pub const fn bias(self) -> Option<TensorRole> {
        Some(match self {
            AttentionNorm => AttentionNormBias,
            Wq => Bq,
            Wk => Bk,
            Wv => Bv,
            Wo => Bo,
            AttentionPostNorm => AttentionPostNormBias,
            FfnNorm => FfnNormBias,
            WGate => BGate,
            WUp => BUp,
            WDown => BDown,
            FfnPostNorm => FfnPostNormBias,
            FinalNorm => FinalNormBias,
            _ => return None,
        })
    }

    /// Whether a model of this configuration has it.
    pub fn is_in(self, config: &ModelConfig) -> bool {
        let has_pre_norm = config.norm_place != NormPlace::Post;
        let has_post_norm = config.norm_place != NormPlace::Pre;
        let has_norm_bias = config.norm_kind == NormKind::Layer;
        let is_gated = config.ffn_kind == FfnKind::Gated;
        match self {
            TokenEmbedding | Wq | Wk | Wv | Wo | WUp | WDown | FinalNorm => true,
            PositionEmbedding => config.position_kind == PositionKind::Learned,
            AttentionNorm | FfnNorm => has_pre_norm,
            AttentionNormBias | FfnNormBias => has_pre_norm && has_norm_bias,
            AttentionPostNorm | FfnPostNorm => has_post_norm,
            AttentionPostNormBias | FfnPostNormBias => has_post_norm && has_norm_bias,
            FinalNormBias => has_norm_bias,
            Bq | Bk | Bv => config.qkv_bias,
            QNorm | KNorm => config.qk_norm != QkNorm::None,
            Bo => config.attention_out_bias,
            WGate => is_gated,
            BGate => is_gated && config.ffn_bias,
            BUp | BDown => config.ffn_bias,
            Output => !config.tied_output,
        }
    }

    /// Rows and columns; a vector has one row.
    pub fn d_out_d_in(self, config: &ModelConfig) -> (u64, u64) {
        let d_model = config.d_model as u64;
        let d_ff = config.d_ff as u64;
        let head_dim = config.head_dim as u64;
        let q_dim = config.n_heads as u64 * head_dim;
        let kv_dim = config.n_kv_heads as u64 * head_dim;
        let is_whole = config.qk_norm == QkNorm::Full;
        match self {
            TokenEmbedding | Output => (config.vocab_size as u64, d_model),
            PositionEmbedding => (config.context_len as u64, d_model),
            Wq => (q_dim, d_model),
            Wk | Wv => (kv_dim, d_model),
            Wo => (d_model, q_dim),
            WGate | WUp => (d_ff, d_model),
            WDown => (d_model, d_ff),
            Bq => (1, q_dim),
            Bk | Bv => (1, kv_dim),
            QNorm => (1, if is_whole { q_dim } else { head_dim }),
            KNorm => (1, if is_whole { kv_dim } else { head_dim }),
            BGate | BUp => (1, d_ff),
            AttentionNorm
            | AttentionNormBias
            | Bo
            | AttentionPostNorm
            | AttentionPostNormBias
            | FfnNorm
            | FfnNormBias
            | BDown
            | FfnPostNorm
            | FfnPostNormBias
            | FinalNorm
            | FinalNormBias => (1, d_model),
        }
    }
}
