//! The page that `flashvec pareto` writes: a plot of bytes against score, and a table.

use crate::commands::pareto::Point;
use crate::error::Result;
use crate::page::{Series, bytes_against_scores, escape, html, table};

/// One HTML page; nothing in it is fetched from elsewhere.
///
/// # Errors
/// [`Error::Plot`](crate::error::Error::Plot).
pub fn page(title: &str, sets: &[String], points: &[Point], peers: &[Point]) -> Result<String> {
    let series = sets.iter().enumerate().flat_map(|(at, set)| {
        [("flashvec", points), ("Model2Vec folders", peers)].map(|(kind, points)| Series {
            label: format!("{kind}, {set}"),
            colour: at,
            line: kind == "flashvec",
            points: points
                .iter()
                .map(|point| (point.bytes as f64, point.scores[at].spearman))
                .collect(),
        })
    });
    let plot = bytes_against_scores("Spearman × 100", &series.collect::<Vec<_>>(), &[])?;
    let all: Vec<&Point> = points.iter().chain(peers).collect();
    let body = format!(
        "<h1>{}</h1>\n\
         <p>Spearman's rank correlation × 100 between people's scores and cosines, against the bytes of the \
         whole file. Columns of lengths are over pairs with so many tokens a text.</p>\n\
         {plot}\n{}",
        escape(title),
        table(&rows(sets, &all), 1)
    );
    Ok(html(&format!("{title}: bytes against score"), &body))
}

/// A table: a model a row, for every set its score and those by length.
pub fn rows(sets: &[String], points: &[&Point]) -> Vec<Vec<String>> {
    let mut head = vec!["model".to_owned(), "bytes".to_owned()];
    let lengths = points.first().map_or(&[][..], |point| &point.scores);
    for (set, score) in sets.iter().zip(lengths) {
        head.push(set.clone());
        head.extend(
            score
                .by_length
                .iter()
                .map(|length| length.tokens.to_owned()),
        );
    }
    let mut rows = vec![head];
    for point in points {
        let mut row = vec![point.name.clone(), point.bytes.to_string()];
        for score in &point.scores {
            row.push(format!("{:.2}", score.spearman));
            row.extend(score.by_length.iter().map(|length| {
                length
                    .spearman
                    .map_or_else(|| "-".to_owned(), |spearman| format!("{spearman:.2}"))
            }));
        }
        rows.push(row);
    }
    rows
}
