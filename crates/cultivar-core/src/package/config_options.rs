//! The options of a model that are chosen by name, and the names that packages store.
//!
//! A new choice is a new variant and name; names are never reused. What a variant computes is
//! written at the code that runs it; which ones run, `ModelConfig::check_supported` says.

/// Declares an enum whose variants have a stored name.
macro_rules! named_options {
    (
        $(#[$doc:meta])*
        $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// The name that packages store.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            /// The choice of this stored name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some($type::$variant),)* _ => None }
            }
        }
    };
}

named_options! {
    /// How activations are normalized.
    NormKind {
        /// Root mean square, without mean and bias (Zhang and Sennrich, 2019).
        Rms = "rms",
        /// Mean and variance, with bias (Ba, Kiros and Hinton, 2016).
        Layer = "layer",
    }
}

named_options! {
    /// Where a block normalizes.
    NormPlace {
        /// Before attention and before the feed-forward layer.
        Pre = "pre",
        /// After attention and after the feed-forward layer, before the residual sum.
        Post = "post",
        /// Both before and after.
        PreAndPost = "pre_and_post",
    }
}

named_options! {
    /// The nonlinearity of the feed-forward layer.
    Activation {
        /// x / (1 + exp(-x)).
        Silu = "silu",
        /// x times the normal distribution's cumulative function, through erf.
        Gelu = "gelu",
        /// The approximation of gelu through tanh.
        GeluTanh = "gelu_tanh",
        /// max(x, 0).
        Relu = "relu",
    }
}

named_options! {
    /// The shape of the feed-forward layer.
    FfnKind {
        /// `w_down(activation(w_gate x) * w_up x)`.
        Gated = "gated",
        /// `w_down(activation(w_up x))`.
        Plain = "plain",
    }
}

named_options! {
    /// How a position enters the computation.
    PositionKind {
        /// Rotation of queries and keys, half-split rows (Su et al., 2021).
        Rope = "rope",
        /// A learned vector added to the embedding.
        Learned = "learned",
        /// Not at all.
        None = "none",
    }
}

named_options! {
    /// How rotary frequencies are stretched beyond the trained context.
    RopeScalingKind {
        /// Not at all.
        None = "none",
        /// Positions divided by the factor. No params.
        Linear = "linear",
        /// By wavelength, as Llama 3.1 does. Params: low_freq_factor, high_freq_factor, original
        /// context_len.
        Llama3 = "llama3",
        /// By wavelength with a ramp and an attention factor (Peng et al., 2023). Params:
        /// beta_fast, beta_slow, original context_len, attention factor, 1 if the ends of the
        /// ramp are whole numbers, else 0.
        Yarn = "yarn",
    }
}

named_options! {
    /// Whether queries and keys are normalized before their product.
    QkNorm {
        /// Not at all.
        None = "none",
        /// Each head by itself, weights `[head_dim]`.
        Head = "head",
        /// All heads together, weights `[n_heads * head_dim]`.
        Full = "full",
    }
}
