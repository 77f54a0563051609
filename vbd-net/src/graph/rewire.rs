//! Rearranges the layers of a network, keeping their connections.

use std::collections::HashSet;

use super::INPUT;
use crate::ops::Units;
use crate::spec::{LayerSpec, NetSpec};

/// Input of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The network's input.
    Input,
    /// The layer pushed with this number.
    Layer(usize),
}

/// A list of layers under construction, each after its inputs.
#[derive(Debug)]
pub struct Rewiring {
    /// Original network.
    from: NetSpec,
    layers: Vec<LayerSpec>,
    sources: Vec<Vec<Source>>,
}

impl Rewiring {
    /// Creates an empty list for layers of `from`.
    pub fn new(from: &NetSpec) -> Self {
        Self {
            from: from.clone(),
            layers: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Appends a layer with these inputs.
    pub fn push(&mut self, layer: LayerSpec, sources: Vec<Source>) -> Source {
        self.layers.push(layer);
        self.sources.push(sources);
        Source::Layer(self.layers.len() - 1)
    }

    /// Returns an unused name that starts with `stem`. Names of selections are reused, since
    /// selections are created anew.
    pub fn free_name(&self, stem: &str) -> String {
        let others = self.from.layers.iter();
        let others = others.filter(|layer| layer.kind().units() != Units::Picks);
        let all = self.layers.iter().chain(others);
        let taken: HashSet<&str> = all.filter_map(|layer| layer.kind().name()).collect();
        // A name has 64 characters at most.
        let mut name: String = stem.chars().take(60).collect();
        while taken.contains(name.as_str()) {
            name.push('_');
        }
        name
    }

    /// Returns the layers with their inputs set, by name wherever the input is not the previous
    /// layer.
    pub fn finish(mut self) -> Vec<LayerSpec> {
        for layer in 0..self.layers.len() {
            for (index, source) in self.sources[layer].clone().into_iter().enumerate() {
                let before = layer.checked_sub(1).map_or(Source::Input, Source::Layer);
                let names_all = self.layers[layer].kind().names_inputs();
                let name = (source != before || names_all).then(|| self.name_of(source));
                self.layers[layer].kind_mut().set_input(index, name);
            }
        }
        self.layers
    }

    fn name_of(&mut self, source: Source) -> String {
        let Source::Layer(layer) = source else {
            return INPUT.to_owned();
        };
        if let Some(name) = self.layers[layer].kind().name() {
            return name.to_owned();
        }
        let stem = format!("{}{}", self.layers[layer].kind().word(), layer + 1);
        let name = self.free_name(&stem);
        self.layers[layer].kind_mut().set_name(name.clone());
        name
    }
}
