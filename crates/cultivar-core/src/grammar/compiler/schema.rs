//! JSON Schema's common part as rules over JSON texts.
//!
//! Every text that the rules allow satisfies the schema; not every one that does is allowed:
//! members come in the order of `properties`, and others only where `additionalProperties` says
//! so. What is not known is refused by its keyword, never ignored.

use super::super::error::{GrammarError, GrammarErrorKind};
use super::super::source::value_text;
use super::super::table::TableParts;
use super::byte_set::{CharSet, literal};
use super::expression::{Expression, RuleId, Rules};
use super::json_rules::{JsonRules, bracketed, list_of, plain_chars, sequence};
use super::numbers::{self, Bounds};
use super::pattern;
use super::table_maker;
use crate::json::JsonValue;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Deepest nesting of schemas.
const DEPTH_MAX: usize = 64;

/// Longest name of a property where others may come too.
const NAME_CHARS_MAX: usize = 64;

/// Keywords that say nothing about what is valid, or are read where they are referred to.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "format",
    "readOnly",
    "title",
    "writeOnly",
];

/// The types, and the keywords that each has.
const TYPES: &[(&str, &[&str])] = &[
    (
        "object",
        &["properties", "required", "additionalProperties"],
    ),
    ("array", &["items", "minItems", "maxItems"]),
    ("string", &["minLength", "maxLength", "pattern"]),
    (
        "integer",
        &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
    ),
    (
        "number",
        &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
    ),
    ("boolean", &[]),
    ("null", &[]),
];

type Members = [(String, JsonValue)];

/// The table of a schema.
pub(super) fn parse(schema: &JsonValue) -> Result<TableParts, GrammarError> {
    let mut rules = Rules::default();
    let json = JsonRules::new(&mut rules)?;
    let root = rules.declare("root")?;
    let mut compiler = Compiler {
        rules,
        json,
        document: schema,
        references: vec![(String::from("#"), root)],
    };
    let expression = compiler.schema(schema, 0)?;
    compiler.rules.define(root, expression);
    table_maker::make(compiler.rules, root)
}

struct Compiler<'a> {
    rules: Rules,
    json: JsonRules,
    document: &'a JsonValue,
    references: Vec<(String, RuleId)>,
}

fn keyword(name: &str) -> GrammarError {
    GrammarError::named(GrammarErrorKind::Keyword, name)
}

fn wrong(name: &str) -> GrammarError {
    GrammarError::named(GrammarErrorKind::KeywordValue, name)
}

fn member<'a>(members: &'a Members, name: &str) -> Option<&'a JsonValue> {
    members
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

fn count(members: &Members, name: &str) -> Result<Option<u32>, GrammarError> {
    let count = |value: &JsonValue| value.as_u32().ok_or_else(|| wrong(name));
    member(members, name).map(count).transpose()
}

/// Refuses every keyword but annotations and those allowed.
fn only(members: &Members, allowed: &[&str]) -> Result<(), GrammarError> {
    let is_known = |key: &str| ANNOTATIONS.contains(&key) || allowed.contains(&key);
    match members.iter().find(|(key, _)| !is_known(key)) {
        Some((key, _)) => Err(keyword(key)),
        None => Ok(()),
    }
}

impl Compiler<'_> {
    fn schema(&mut self, schema: &JsonValue, depth: usize) -> Result<Expression, GrammarError> {
        if depth > DEPTH_MAX {
            return Err(GrammarError::new(GrammarErrorKind::TooDeep));
        }
        let members = match schema {
            JsonValue::Bool(true) => return Ok(self.json.value.clone()),
            JsonValue::Bool(false) => return Ok(Expression::OneOf(Vec::new())),
            schema => schema.as_object().ok_or_else(|| wrong("a schema"))?,
        };
        if let Some(target) = member(members, "$ref") {
            only(members, &["$ref"])?;
            return self.reference(target.as_str().ok_or_else(|| wrong("$ref"))?, depth);
        }
        if let Some(value) = member(members, "const") {
            only(members, &["const", "type"])?;
            return Ok(one_of(members, core::slice::from_ref(value)));
        }
        if let Some(values) = member(members, "enum") {
            only(members, &["enum", "type"])?;
            let values = values.as_array().ok_or_else(|| wrong("enum"))?;
            return Ok(one_of(members, values));
        }
        for key in ["anyOf", "allOf"] {
            if let Some(schemas) = member(members, key) {
                only(members, &[key])?;
                let schemas = schemas.as_array().ok_or_else(|| wrong(key))?;
                if key == "allOf" && schemas.len() != 1 {
                    return Err(keyword(key));
                }
                let each = schemas.iter().map(|schema| self.schema(schema, depth + 1));
                return Ok(Expression::any_of(each.collect::<Result<_, _>>()?));
            }
        }
        self.typed(members, depth)
    }

    /// A schema of one type or several; without `type`, that which its keywords speak of.
    fn typed(&mut self, members: &Members, depth: usize) -> Result<Expression, GrammarError> {
        let names: Vec<&str> = match member(members, "type") {
            Some(JsonValue::String(name)) => vec![name],
            Some(JsonValue::Array(names)) => {
                let names = names.iter().map(JsonValue::as_str);
                names.collect::<Option<_>>().ok_or_else(|| wrong("type"))?
            }
            Some(_) => return Err(wrong("type")),
            None => {
                let speaks = |(_, keys): &&(&str, &[&str])| {
                    keys.iter().any(|key| member(members, key).is_some())
                };
                match TYPES.iter().find(speaks) {
                    Some(("integer", _)) => vec!["number"],
                    Some((name, _)) => vec![name],
                    None => {
                        only(members, &[])?;
                        return Ok(self.json.value.clone());
                    }
                }
            }
        };
        let mut allowed = vec!["type"];
        for name in &names {
            let row = TYPES.iter().find(|(known, _)| known == name);
            allowed.extend_from_slice(row.ok_or_else(|| wrong("type"))?.1);
        }
        only(members, &allowed)?;
        let each = names.iter().map(|name| self.of_type(name, members, depth));
        Ok(Expression::any_of(each.collect::<Result<_, _>>()?))
    }

    fn of_type(
        &mut self,
        name: &str,
        members: &Members,
        depth: usize,
    ) -> Result<Expression, GrammarError> {
        match name {
            "object" => self.object(members, depth),
            "array" => self.array(members, depth),
            "string" => self.string(members),
            "integer" => {
                let bounds = bounds(members, true)?;
                Ok(bounds.map_or(self.json.integer.clone(), numbers::integer))
            }
            "number" => {
                let bounds = bounds(members, false)?;
                Ok(bounds.map_or(self.json.number.clone(), numbers::number))
            }
            "boolean" => Ok(Expression::OneOf(vec![literal(b"true"), literal(b"false")])),
            _ => Ok(literal(b"null")),
        }
    }

    fn string(&mut self, members: &Members) -> Result<Expression, GrammarError> {
        let (min, max) = (count(members, "minLength")?, count(members, "maxLength")?);
        let inner = match member(members, "pattern") {
            Some(_) if min.is_some() || max.is_some() => {
                return Err(keyword("pattern with minLength or maxLength"));
            }
            Some(text) => {
                pattern::parse(text.as_str().ok_or_else(|| wrong("pattern"))?, &self.json)?
            }
            None => Expression::Repeat(Box::new(self.json.char.clone()), min.unwrap_or(0), max),
        };
        Ok(sequence(vec![literal(b"\""), inner, literal(b"\"")]))
    }

    fn array(&mut self, members: &Members, depth: usize) -> Result<Expression, GrammarError> {
        let (min, max) = (count(members, "minItems")?, count(members, "maxItems")?);
        let min = min.unwrap_or(0);
        if max.is_some_and(|max| max < min) {
            return Err(GrammarError::named(
                GrammarErrorKind::Unsatisfiable,
                "minItems",
            ));
        }
        let one = match member(members, "items") {
            Some(schema) => self.schema(schema, depth + 1)?,
            None => self.json.value.clone(),
        };
        let one = self.rules.add("items", one)?;
        Ok(bracketed(
            &self.json,
            b"[]",
            list_of(&self.json, one, min, max),
        ))
    }

    fn object(&mut self, members: &Members, depth: usize) -> Result<Expression, GrammarError> {
        let none: &Members = &[];
        let properties = match member(members, "properties") {
            Some(properties) => properties.as_object().ok_or_else(|| wrong("properties"))?,
            None => none,
        };
        let required = match member(members, "required") {
            Some(names) => {
                let names = names.as_array().ok_or_else(|| wrong("required"))?.iter();
                let names: Option<Vec<&str>> = names.map(JsonValue::as_str).collect();
                names.ok_or_else(|| wrong("required"))?
            }
            None => Vec::new(),
        };
        let others = match member(members, "additionalProperties") {
            Some(JsonValue::Bool(false)) => None,
            Some(schema) => Some(self.schema(schema, depth + 1)?),
            // Nothing is said of members at all: any are wanted.
            None if properties.is_empty() && required.is_empty() => Some(self.json.value.clone()),
            None => None,
        };
        let mut listed = Vec::new();
        for (name, schema) in properties {
            let value = self.schema(schema, depth + 1)?;
            listed.push((name.as_str(), value, required.contains(&name.as_str())));
        }
        for name in &required {
            if member(properties, name).is_none() {
                let forbidden = member(members, "additionalProperties");
                if forbidden == Some(&JsonValue::Bool(false)) {
                    return Err(GrammarError::named(GrammarErrorKind::Unsatisfiable, name));
                }
                let value = others.clone().unwrap_or(self.json.value.clone());
                listed.push((name, value, true));
            }
        }
        let inner = self.members(listed, others)?;
        Ok(bracketed(&self.json, b"{}", inner))
    }

    /// The members in their order; from the last one back, with and without one before.
    fn members(
        &mut self,
        listed: Vec<(&str, Expression, bool)>,
        others: Option<Expression>,
    ) -> Result<Expression, GrammarError> {
        let comma = sequence(vec![literal(b","), self.json.space.clone()]);
        let (mut first, mut later) = match others {
            Some(value) => {
                let names: Vec<Vec<char>> = listed.iter().map(|p| p.0.chars().collect()).collect();
                let key = sequence(vec![literal(b"\""), other_name(&names, 0)?, literal(b"\"")]);
                let colon = sequence(vec![literal(b":"), self.json.space.clone()]);
                let one = self
                    .rules
                    .add("member", sequence(vec![key, colon, value]))?;
                let more = sequence(vec![comma.clone(), one.clone()]);
                (list_of(&self.json, one, 0, None), more.at_least(0))
            }
            None => (Expression::empty(), Expression::empty()),
        };
        for (name, value, is_required) in listed.into_iter().rev() {
            let key = value_text(&JsonValue::String(String::from(name)));
            let one = vec![
                literal(key.as_bytes()),
                literal(b":"),
                self.json.space.clone(),
                value,
            ];
            let one = self.rules.add(name, sequence(one))?;
            let rest = self.rules.add(name, later.clone())?;
            let with = sequence(vec![one, rest.clone()]);
            let with_comma = sequence(vec![comma.clone(), with.clone()]);
            let or = |with: Expression, without: Expression| match is_required {
                true => with,
                false => Expression::OneOf(vec![with, without]),
            };
            (first, later) = (or(with, first), or(with_comma, rest));
            first = self.rules.add(name, first)?;
            later = self.rules.add(name, later)?;
        }
        Ok(first)
    }

    /// What a `$ref` within the document leads to.
    fn reference(&mut self, target: &str, depth: usize) -> Result<Expression, GrammarError> {
        if let Some((_, rule)) = self.references.iter().find(|(known, _)| known == target) {
            return Ok(Expression::Rule(*rule));
        }
        let nowhere = || GrammarError::named(GrammarErrorKind::Reference, target);
        let mut at = self.document;
        for part in target.strip_prefix("#/").ok_or_else(nowhere)?.split('/') {
            let part = part.replace("~1", "/").replace("~0", "~");
            at = match at {
                JsonValue::Array(elements) => {
                    let idx = part.parse::<usize>().ok();
                    idx.and_then(|idx| elements.get(idx))
                }
                object => object.get(&part),
            }
            .ok_or_else(nowhere)?;
        }
        let rule = self.rules.declare(target)?;
        self.references.push((String::from(target), rule));
        let expression = self.schema(at, depth + 1)?;
        self.rules.define(rule, expression);
        Ok(Expression::Rule(rule))
    }
}

/// Those of the values that have the schema's type, if it names one.
fn one_of(members: &Members, values: &[JsonValue]) -> Expression {
    let is_of = |name: &JsonValue, value: &JsonValue| match name.as_str().unwrap_or_default() {
        "object" => value.as_object().is_some(),
        "array" => value.as_array().is_some(),
        "string" => value.as_str().is_some(),
        "integer" => value.as_i64().is_some() || value.as_u64().is_some(),
        "number" => value.as_f64().is_some(),
        "boolean" => value.as_bool().is_some(),
        "null" => value.is_null(),
        _ => false,
    };
    let fits = |value: &&JsonValue| match member(members, "type") {
        Some(JsonValue::Array(names)) => names.iter().any(|name| is_of(name, value)),
        Some(name) => is_of(name, value),
        None => true,
    };
    let texts = values.iter().filter(fits);
    let texts = texts.map(|value| literal(value_text(value).as_bytes()));
    Expression::OneOf(texts.collect())
}

/// The bounds of a number; `None` where there are none.
fn bounds(members: &Members, is_integer: bool) -> Result<Option<Bounds>, GrammarError> {
    let mut bounds = Bounds::default();
    let mut is_bound = false;
    for key in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
        let Some(value) = member(members, key) else {
            continue;
        };
        // Whole bounds only, and for fractions included ones.
        let is_exclusive = key.starts_with("exclusive");
        if is_exclusive && !is_integer {
            return Err(keyword(key));
        }
        let value = value.as_i64().ok_or_else(|| wrong(key))?;
        let inward = i64::from(is_exclusive);
        is_bound = true;
        if key.ends_with("inimum") {
            let value = value.saturating_add(inward);
            bounds.min = Some(bounds.min.map_or(value, |min| min.max(value)));
        } else {
            let value = value.saturating_sub(inward);
            bounds.max = Some(bounds.max.map_or(value, |max| max.min(value)));
        }
    }
    Ok(is_bound.then_some(bounds))
}

/// A name without escapes that is none of these, of which the first `depth` characters are read.
fn other_name(names: &[Vec<char>], depth: usize) -> Result<Expression, GrammarError> {
    let plain = plain_chars();
    let any = plain.expression().at_least(0);
    if names.is_empty() {
        return Ok(any);
    }
    if depth > NAME_CHARS_MAX {
        return Err(GrammarError::new(GrammarErrorKind::TooDeep));
    }
    let mut nexts: Vec<char> = names
        .iter()
        .filter_map(|name| name.get(depth).copied())
        .collect();
    crate::sorting::sort(&mut nexts);
    nexts.dedup();
    let single = |c: &char| (u32::from(*c), u32::from(*c));
    let known = CharSet::of(&nexts.iter().map(single).collect::<Vec<_>>());
    let other = plain.without(&known).expression();
    let mut alternatives = vec![sequence(vec![other, any])];
    if names.iter().all(|name| name.len() != depth) {
        alternatives.push(Expression::empty());
    }
    for c in nexts {
        let goes_on = |name: &&Vec<char>| name.get(depth) == Some(&c);
        let rest: Vec<Vec<char>> = names.iter().filter(goes_on).cloned().collect();
        let c = CharSet::of(&[single(&c)]).expression();
        alternatives.push(sequence(vec![c, other_name(&rest, depth + 1)?]));
    }
    Ok(Expression::OneOf(alternatives))
}
