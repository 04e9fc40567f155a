//! Rules of expressions become the one form that every grammar has: bytes of a table that
//! [`Grammar::read`](crate::grammar::Grammar::read) reads.
//!
//! What can never match is left out, rules that begin with themselves are refused, so that
//! matching needs no look-ahead. Rules, sets and kinds are numbered by their first use, beginning
//! at the root, so that equal grammars are equal bytes.

use super::super::error::{GrammarError, GrammarErrorKind};
use super::super::table::{ELEMENTS_MAX, Element, RULES_MAX, TableParts};
use super::byte_set::ByteSet;
use super::expression::{Expression, RuleId, Rules};
use alloc::vec;
use alloc::vec::Vec;

/// Deepest nesting of expressions.
const DEPTH_MAX: usize = 200;

/// What the table is made with.
struct Maker {
    elements: Vec<Element>,
    alternatives: Vec<Vec<u32>>,
    classes: Vec<ByteSet>,
    /// Rules that are still to be written.
    pending: Vec<(RuleId, Expression)>,
}

/// The table of these rules, beginning at `root`.
pub(super) fn make(rules: Rules, root: RuleId) -> Result<TableParts, GrammarError> {
    let mut maker = Maker {
        elements: Vec::new(),
        alternatives: vec![Vec::new(); rules.rules.len()],
        classes: Vec::new(),
        pending: Vec::new(),
    };
    let names: Vec<_> = rules.rules.iter().map(|(name, _)| *name).collect();
    for (rule, (name, definition)) in rules.rules.into_iter().enumerate() {
        let unknown = GrammarError::named(GrammarErrorKind::UnknownRule, name.as_str());
        maker.rule(rule as RuleId, definition.ok_or(unknown)?)?;
        while let Some((rule, expression)) = maker.pending.pop() {
            maker.rule(rule, expression)?;
        }
    }
    let productive = maker.least(|element| element != Element::End);
    if !productive[root as usize] {
        return Err(GrammarError::new(GrammarErrorKind::Unsatisfiable));
    }
    maker.drop_unproductive(&productive);
    if let Some(rule) = maker.left_recursive() {
        let name = names.get(rule).map_or("a group", |name| name.as_str());
        return Err(GrammarError::named(GrammarErrorKind::LeftRecursion, name));
    }
    Ok(maker.finish(root))
}

impl Maker {
    fn rule(&mut self, rule: RuleId, expression: Expression) -> Result<(), GrammarError> {
        let alternatives = match expression {
            Expression::OneOf(alternatives) => alternatives,
            one => vec![one],
        };
        for alternative in alternatives {
            let start = self.elements.len() as u32;
            self.emit(alternative, 0)?;
            self.push(Element::End)?;
            self.alternatives[rule as usize].push(start);
        }
        Ok(())
    }

    fn push(&mut self, element: Element) -> Result<(), GrammarError> {
        if self.elements.len() >= ELEMENTS_MAX {
            return Err(GrammarError::new(GrammarErrorKind::TooLarge));
        }
        self.elements.push(element);
        Ok(())
    }

    /// A rule of its own for this, written later.
    fn later(&mut self, expression: Expression) -> Result<RuleId, GrammarError> {
        if self.alternatives.len() >= RULES_MAX {
            return Err(GrammarError::new(GrammarErrorKind::TooLarge));
        }
        let rule = self.alternatives.len() as RuleId;
        self.alternatives.push(Vec::new());
        self.pending.push((rule, expression));
        Ok(rule)
    }

    fn emit(&mut self, expression: Expression, depth: usize) -> Result<(), GrammarError> {
        if depth > DEPTH_MAX {
            return Err(GrammarError::new(GrammarErrorKind::TooDeep));
        }
        match expression {
            Expression::Bytes(set) => {
                let known = self.classes.iter().position(|class| *class == set);
                let class = known.unwrap_or_else(|| {
                    self.classes.push(set);
                    self.classes.len() - 1
                });
                self.push(Element::Class(class as u16))
            }
            Expression::Rule(rule) => self.push(Element::Rule(rule)),
            Expression::Sequence(parts) => parts
                .into_iter()
                .try_for_each(|part| self.emit(part, depth + 1)),
            one_of @ Expression::OneOf(_) => {
                let rule = self.later(one_of)?;
                self.push(Element::Rule(rule))
            }
            Expression::Repeat(unit, min, max) => self.repeat(*unit, min, max, depth),
        }
    }

    /// `unit` so often; the optional rest as rules, each of which may be the last.
    fn repeat(
        &mut self,
        unit: Expression,
        min: u32,
        max: Option<u32>,
        depth: usize,
    ) -> Result<(), GrammarError> {
        if max.is_some_and(|max| max < min) {
            return Err(GrammarError::new(GrammarErrorKind::Unsatisfiable));
        }
        let unit = match unit {
            simple @ (Expression::Bytes(_) | Expression::Rule(_)) => simple,
            other => Expression::Rule(self.later(other)?),
        };
        for _ in 0..min {
            self.emit(unit.clone(), depth + 1)?;
        }
        let with = |rest: Option<RuleId>| {
            let mut parts = vec![unit.clone()];
            parts.extend(rest.map(Expression::Rule));
            Expression::OneOf(vec![Expression::Sequence(parts), Expression::empty()])
        };
        match max {
            None => {
                let rule = self.alternatives.len() as RuleId;
                let rule = self.later(with(Some(rule)))?;
                self.push(Element::Rule(rule))
            }
            Some(max) => {
                let mut rest = None;
                for _ in min..max {
                    rest = Some(self.later(with(rest))?);
                }
                rest.map_or(Ok(()), |rule| self.push(Element::Rule(rule)))
            }
        }
    }

    /// The elements of an alternative, without its end.
    fn alternative(&self, start: u32) -> &[Element] {
        let rest = &self.elements[start as usize..];
        let end = rest.iter().position(|element| *element == Element::End);
        &rest[..end.unwrap_or(rest.len())]
    }

    /// The rules that have an alternative all of whose elements hold, where rules hold if they are
    /// among these rules themselves, and others as `holds` says: the least such set.
    fn least(&self, holds: impl Fn(Element) -> bool) -> Vec<bool> {
        let n_rules = self.alternatives.len();
        let mut is_in = vec![false; n_rules];
        // Per alternative its owner and the rules that it still waits for; per rule who waits.
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); n_rules];
        let mut ready = Vec::new();
        for (rule, starts) in self.alternatives.iter().enumerate() {
            for &start in starts {
                let elements = self.alternative(start);
                let is_rule = |e: &&Element| matches!(e, Element::Rule(_));
                if elements.iter().any(|e| !is_rule(&e) && !holds(*e)) {
                    continue;
                }
                let n = elements.iter().filter(is_rule).count();
                for element in elements {
                    if let Element::Rule(used) = element {
                        users[*used as usize].push(waiting.len());
                    }
                }
                if n == 0 {
                    ready.push(rule);
                }
                waiting.push((rule, n));
            }
        }
        while let Some(rule) = ready.pop() {
            if core::mem::replace(&mut is_in[rule], true) {
                continue;
            }
            for &alternative in &users[rule] {
                let (owner, n) = &mut waiting[alternative];
                *n -= 1;
                if *n == 0 {
                    ready.push(*owner);
                }
            }
        }
        is_in
    }

    /// Leaves out the alternatives that can never be completed.
    fn drop_unproductive(&mut self, productive: &[bool]) {
        let mut kept = Vec::with_capacity(self.alternatives.len());
        for starts in &self.alternatives {
            let is_productive = |start: &u32| {
                let elements = self.alternative(*start).iter();
                let mut rules = elements.filter_map(|element| match element {
                    Element::Rule(rule) => Some(*rule as usize),
                    _ => None,
                });
                rules.all(|rule| productive[rule])
            };
            kept.push(starts.iter().copied().filter(is_productive).collect());
        }
        self.alternatives = kept;
    }

    /// A rule that meets itself again before any byte, with something left to do after it: its
    /// stack would grow without end. Found as an edge within a strongly connected part.
    fn left_recursive(&self) -> Option<usize> {
        let nullable = self.least(|_| false);
        let n_rules = self.alternatives.len();
        let mut edges: Vec<Vec<(usize, bool)>> = vec![Vec::new(); n_rules];
        for (rule, starts) in self.alternatives.iter().enumerate() {
            for &start in starts {
                let elements = self.alternative(start);
                for (i, element) in elements.iter().enumerate() {
                    let Element::Rule(used) = element else { break };
                    edges[rule].push((*used as usize, i + 1 < elements.len()));
                    if !nullable[*used as usize] {
                        break;
                    }
                }
            }
        }
        let part = parts(&edges);
        let pushes = |rule: &usize| {
            let own = part[*rule];
            edges[*rule]
                .iter()
                .any(|(used, is_pushed)| *is_pushed && part[*used] == own)
        };
        (0..n_rules).find(pushes)
    }

    /// Numbers what is used by its first use, and leaves out the rest.
    fn finish(self, root: RuleId) -> TableParts {
        let mut rules = Numbers::new(self.alternatives.len());
        let mut classes = Numbers::new(self.classes.len());
        let mut parts = TableParts::default();
        rules.of(root as usize);
        let mut next = 0;
        while let Some(&rule) = rules.order.get(next) {
            next += 1;
            let starts = &self.alternatives[rule];
            parts.n_alternatives.push(starts.len() as u32);
            for &start in starts {
                let elements = self.alternative(start).iter();
                parts.elements.extend(elements.map(|element| match element {
                    Element::Class(class) => Element::Class(classes.of(usize::from(*class)) as u16),
                    Element::Rule(rule) => Element::Rule(rules.of(*rule as usize) as RuleId),
                    Element::End => Element::End,
                }));
                parts.elements.push(Element::End);
            }
        }
        // Bytes that all sets treat alike are one kind.
        let used: Vec<&ByteSet> = classes.order.iter().map(|i| &self.classes[*i]).collect();
        let mut firsts: Vec<u8> = Vec::new();
        for byte in 0..=255u8 {
            let is_alike = |other: &u8| {
                let mut used = used.iter();
                used.all(|class| class.contains(byte) == class.contains(*other))
            };
            let kind = firsts.iter().position(is_alike).unwrap_or_else(|| {
                firsts.push(byte);
                firsts.len() - 1
            });
            parts.kind_of_byte[usize::from(byte)] = kind as u8;
        }
        let has = |class: &&ByteSet| firsts.iter().map(|byte| class.contains(*byte)).collect();
        parts.classes = used.iter().map(has).collect();
        parts.n_kinds = firsts.len();
        parts
    }
}

/// Numbers in the order of first use.
struct Numbers {
    numbers: Vec<Option<usize>>,
    order: Vec<usize>,
}

impl Numbers {
    fn new(n: usize) -> Self {
        Self {
            numbers: vec![None; n],
            order: Vec::new(),
        }
    }

    fn of(&mut self, i: usize) -> usize {
        *self.numbers[i].get_or_insert_with(|| {
            self.order.push(i);
            self.order.len() - 1
        })
    }
}

/// The strongly connected part of each node (Kosaraju's two walks, without recursion).
fn parts(edges: &[Vec<(usize, bool)>]) -> Vec<usize> {
    let n = edges.len();
    let mut reversed: Vec<Vec<usize>> = vec![Vec::new(); n];
    for (from, to) in edges.iter().enumerate() {
        to.iter().for_each(|(to, _)| reversed[*to].push(from));
    }
    let mut order = Vec::with_capacity(n);
    let mut is_seen = vec![false; n];
    for root in 0..n {
        let mut walk = vec![(root, 0)];
        if core::mem::replace(&mut is_seen[root], true) {
            continue;
        }
        while let Some((node, next)) = walk.last_mut() {
            match edges[*node].get(*next) {
                Some((to, _)) => {
                    *next += 1;
                    if !core::mem::replace(&mut is_seen[*to], true) {
                        walk.push((*to, 0));
                    }
                }
                None => {
                    order.push(*node);
                    walk.pop();
                }
            }
        }
    }
    let mut part = vec![usize::MAX; n];
    for &root in order.iter().rev() {
        let mut walk = vec![root];
        while let Some(node) = walk.pop() {
            if part[node] == usize::MAX {
                part[node] = root;
                walk.extend(
                    reversed[node]
                        .iter()
                        .filter(|from| part[**from] == usize::MAX),
                );
            }
        }
    }
    part
}
