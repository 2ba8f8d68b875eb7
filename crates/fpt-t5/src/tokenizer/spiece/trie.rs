//! Prefixes of a text that are in a dictionary.

use std::collections::VecDeque;

const NO_VALUE: u32 = u32::MAX;

/// A dictionary of byte strings, as a tree whose nodes lie in one vector.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    /// The children lie next to each other, by ascending label.
    first_child: u32,
    children: u16,
    label: u8,
    value: u32,
}

impl Node {
    fn new(label: u8) -> Self {
        Self {
            first_child: 0,
            children: 0,
            label,
            value: NO_VALUE,
        }
    }
}

impl Trie {
    /// Of strings that differ. The node numbers must fit `u32`, which the size of a model's file sees to.
    pub(super) fn new<'a>(entries: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut entries: Vec<(&[u8], u32)> = entries
            .map(|(text, value)| (text.as_bytes(), value))
            .collect();
        entries.sort_unstable();
        let mut nodes = vec![Node::new(0)];
        // Nodes whose children are not there yet, with the entries below them.
        let mut open = VecDeque::from([(0, 0, &entries[..])]);
        while let Some((node, depth, mut below)) = open.pop_front() {
            if let Some(((text, value), rest)) = below.split_first()
                && text.len() == depth
            {
                nodes[node].value = *value;
                below = rest;
            }
            nodes[node].first_child = nodes.len() as u32;
            for group in below.chunk_by(|(left, _), (right, _)| left[depth] == right[depth]) {
                open.push_back((nodes.len(), depth + 1, group));
                nodes.push(Node::new(group[0].0[depth]));
                nodes[node].children += 1;
            }
        }
        Self { nodes }
    }

    /// Every prefix of `text` in the dictionary, from the shortest on: its length and its value.
    pub(super) fn prefixes<'a>(
        &'a self,
        text: &'a [u8],
    ) -> impl Iterator<Item = (usize, u32)> + 'a {
        let mut node = &self.nodes[0];
        text.iter()
            .enumerate()
            .map_while(move |(at, &byte)| {
                let first = node.first_child as usize;
                let children = &self.nodes[first..first + usize::from(node.children)];
                let child = children.binary_search_by_key(&byte, |child| child.label);
                node = &children[child.ok()?];
                Some((at + 1, node.value))
            })
            .filter(|&(_, value)| value != NO_VALUE)
    }
}
