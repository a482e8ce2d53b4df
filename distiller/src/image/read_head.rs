//! Reading heads back.

use flashvec::head_layout::HeadHeader;

use super::{HeadParts, Layer};

impl HeadParts {
    /// Reads back what [`section`](Self::section) made; `None` for what it cannot have made.
    ///
    /// Sections of images that a [`flashvec::Model`] was made of are always readable.
    pub fn read(section: &[u8]) -> Option<Self> {
        let (header, mut rest) = postcard::take_from_bytes::<HeadHeader>(section).ok()?;
        let mut labels = Vec::new();
        for _ in 0..header.labels {
            let (&len, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(usize::from(len))?;
            labels.push(String::from_utf8(label.to_vec()).ok()?);
            rest = after;
        }
        let sizes = [header.hidden, header.labels].map(usize::from);
        let mut inputs = usize::from(header.inputs);
        let mut layers = Vec::new();
        for outputs in sizes.into_iter().filter(|&outputs| outputs > 0) {
            let (scales, after) = rest.split_at_checked(4 * outputs)?;
            let (biases, after) = after.split_at_checked(4 * outputs)?;
            let (weights, after) = after.split_at_checked(inputs * outputs)?;
            let floats = |bytes: &[u8]| {
                let numbers = bytes.as_chunks().0.iter();
                numbers.map(|&bytes| f32::from_le_bytes(bytes)).collect()
            };
            layers.push(Layer {
                weights: weights.iter().map(|&weight| weight as i8).collect(),
                scales: floats(scales),
                biases: floats(biases),
            });
            (rest, inputs) = (after, outputs);
        }
        rest.is_empty().then_some(Self {
            task: header.task,
            labels,
            layers,
            out_of_scope: header.out_of_scope,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_were_written() {
        let layer = |inputs: usize, outputs: usize| Layer {
            weights: (0..inputs * outputs).map(|at| at as i8).collect(),
            scales: (0..outputs).map(|at| at as f32).collect(),
            biases: (0..outputs).map(|at| -(at as f32) - 0.5).collect(),
        };
        for layers in [vec![layer(3, 2)], vec![layer(3, 5), layer(5, 2)]] {
            let head = HeadParts {
                task: flashvec::Task::Softmax,
                labels: vec!["a".to_owned(), "ä b".to_owned()],
                layers,
                out_of_scope: Some(0.5),
            };
            let section = head.section(3).unwrap();
            assert_eq!(HeadParts::read(&section), Some(head));
            for len in 0..section.len() {
                assert_eq!(HeadParts::read(&section[..len]), None, "{len} bytes");
            }
        }
    }
}
