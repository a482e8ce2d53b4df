//! Retrieval: do cosines put the documents that answer a query first?

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use flashvec::{Model, cosine};
use flashvec_distiller::Progress;
use rayon::prelude::*;

use super::embed;
use crate::error::{Error, Result};
use crate::tsv::Tsv;

/// Ranks that count.
const CUTOFF: usize = 10;

/// Documents, queries and judgements of which document answers which query.
pub struct RetrievalSet {
    pub folder: PathBuf,
    documents: Vec<String>,
    queries: Vec<String>,
    /// For each query, the index and grade of every relevant document; grades are above 0.
    relevant: Vec<HashMap<usize, f64>>,
}

impl RetrievalSet {
    /// Reads `corpus.tsv` (doc_id, text and perhaps title), `queries.tsv` (query_id, text) and
    /// `qrels.tsv` (query_id, doc_id, grade) of a folder.
    ///
    /// A title goes before the text. A grade of 0 or below says that the document is not
    /// relevant; queries without a relevant document are left out.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Line`] for a row of another form, an id that is given twice, or a
    /// judgement of an unknown id; [`Error::Arguments`] if no query has a relevant document.
    pub fn read(folder: &Path) -> Result<Self> {
        let (document_ids, documents) = read_texts(&folder.join("corpus.tsv"), "doc_id")?;
        let (query_ids, queries) = read_texts(&folder.join("queries.tsv"), "query_id")?;
        let mut relevant = vec![HashMap::new(); queries.len()];
        let mut rows = Tsv::open(&folder.join("qrels.tsv"), &[])?;
        let columns = [
            rows.column("query_id")?,
            rows.column("doc_id")?,
            rows.column("grade")?,
        ];
        while let Some(cells) = rows.next()? {
            let [query, document, grade] = columns.map(|column| cells[column]);
            let unknown = |kind: &str, id: &str, file: &str| {
                format!("{file} has no {kind} {id:?}; drop this judgement or add the {kind}")
            };
            let wrong = match (query_ids.get(query), document_ids.get(document)) {
                (None, _) => unknown("query", query, "queries.tsv"),
                (_, None) => unknown("document", document, "corpus.tsv"),
                (Some(&query), Some(&document)) => match grade.parse::<f64>() {
                    Ok(grade) if grade.is_finite() => {
                        if grade > 0.0 && relevant[query].insert(document, grade).is_some() {
                            "this document was judged before for this query; keep one of the two"
                                .to_owned()
                        } else {
                            continue;
                        }
                    }
                    _ => format!("the grade {grade:?} is not a number"),
                },
            };
            return Err(rows.error(wrong));
        }
        let (queries, relevant): (Vec<String>, Vec<_>) = queries
            .into_iter()
            .zip(relevant)
            .filter(|(_, relevant)| !relevant.is_empty())
            .unzip();
        if queries.is_empty() {
            return Err(Error::Arguments(format!(
                "{}: no query has a document with a grade above 0",
                folder.join("qrels.tsv").display()
            )));
        }
        Ok(Self {
            folder: folder.to_owned(),
            documents,
            queries,
            relevant,
        })
    }

    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// Queries with a relevant document.
    pub fn queries(&self) -> usize {
        self.queries.len()
    }

    /// Normalised discounted cumulative gain of the ten documents with the largest cosines, the
    /// mean over queries, times 100. Documents with the same cosine rank as in the file.
    ///
    /// As trec_eval's `ndcg_cut.10`: a grade is its gain, and the ideal ranking is of all relevant
    /// documents.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn ndcg_at_10(&self, model: &Model<'_>, progress: &dyn Progress) -> Result<f64> {
        let documents = embed(model, &self.documents, progress)?;
        let queries = embed(model, &self.queries, progress)?;
        progress.begin("Searching, queries", self.queries.len() as u64);
        let queries: Vec<&[f32]> = queries.rows().collect();
        // In order, since the sum of rounded numbers depends on it.
        let scores: Vec<f64> = queries
            .par_iter()
            .zip(&self.relevant)
            .map(|(query, relevant)| {
                let cosines: Vec<f32> = documents.rows().map(|row| cosine(query, row)).collect();
                progress.advance(1);
                ndcg(&nearest(&cosines, CUTOFF), relevant)
            })
            .collect();
        progress.finish();
        Ok(100.0 * scores.iter().sum::<f64>() / scores.len() as f64)
    }
}

/// The index by id of the texts in a file, and the texts.
fn read_texts(path: &Path, id_name: &str) -> Result<(HashMap<String, usize>, Vec<String>)> {
    let mut rows = Tsv::open(path, &[])?;
    let (id_column, text_column) = (rows.column(id_name)?, rows.column("text")?);
    let title_column = rows.find("title");
    let mut ids = HashMap::new();
    let mut texts = Vec::new();
    while let Some(cells) = rows.next()? {
        let (id, text) = (cells[id_column].to_owned(), cells[text_column]);
        let text = match title_column {
            Some(title) => format!("{} {text}", cells[title]),
            None => text.to_owned(),
        };
        if let Some(first) = ids.insert(id, texts.len()) {
            // Line 1 is the header.
            let line = first + 2;
            return Err(rows.error(format!(
                "the {id_name} of line {line} again; ids are unique"
            )));
        }
        texts.push(text);
    }
    Ok((ids, texts))
}

/// Indices of the largest values, largest first; equal ones in their order.
fn nearest(values: &[f32], count: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..values.len()).collect();
    let order = |&i: &usize, &j: &usize| values[j].total_cmp(&values[i]).then(i.cmp(&j));
    if count < indices.len() {
        indices.select_nth_unstable_by(count, order);
        indices.truncate(count);
    }
    indices.sort_unstable_by(order);
    indices
}

/// Normalised discounted cumulative gain of a ranking's first documents, between 0 and 1.
fn ndcg(ranking: &[usize], relevant: &HashMap<usize, f64>) -> f64 {
    let mut ideal: Vec<f64> = relevant.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.total_cmp(a));
    let gains = ranking
        .iter()
        .map(|document| relevant.get(document).copied().unwrap_or(0.0));
    discounted(gains) / discounted(ideal.into_iter())
}

/// Discounted cumulative gain: the sum of gain / log2(rank + 1).
fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains
        .take(CUTOFF)
        .zip(2_u32..)
        .map(|(gain, rank_above)| gain / f64::from(rank_above).log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_come_first_and_ties_keep_their_order() {
        let values = [0.5, 0.9, -1.0, 0.9, 0.5, 0.5];
        assert_eq!(nearest(&values, 4), [1, 3, 0, 4]);
        assert_eq!(nearest(&values, 9), [1, 3, 0, 4, 5, 2]);
    }

    #[test]
    fn gains_are_those_of_trec_eval() {
        // ndcg_cut_10 by pytrec_eval-terrier 0.5.11
        let check = |ranking: &[usize], relevant: &[(usize, f64)], expected: f64| {
            let score = ndcg(ranking, &relevant.iter().copied().collect());
            assert!(
                (score - expected).abs() < 1e-12,
                "{score} instead of {expected}"
            );
        };
        let graded = [(0, 3.0), (4, 1.0), (7, 2.0), (11, 1.0), (12, 2.0)];
        check(
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            &graded,
            0.660_885_928_684_846_1,
        );
        check(
            &[13, 7, 1, 2, 3, 5, 0, 12, 6, 8],
            &graded,
            0.475_835_535_677_481_8,
        );
        // More relevant documents than ranks.
        let many: Vec<(usize, f64)> = (0..12).map(|document| (document, 1.0)).collect();
        check(
            &[12, 0, 1, 2, 3, 4, 5, 6, 7, 8],
            &many,
            0.779_908_233_701_919_9,
        );
        check(&[20], &graded, 0.0);
    }
}
