//! The page that `flashvec pareto` writes: a plot of bytes against score, and a table.

use plotters::prelude::*;

use crate::commands::pareto::Point;
use crate::error::{Error, Result};

const SIZE: (u32, u32) = (900, 520);
/// Okabe and Ito's colours, which most people can tell apart.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
    table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
    td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}\
    td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}";

/// One HTML page; nothing in it is fetched from elsewhere.
///
/// # Errors
/// [`Error::Plot`].
pub fn page(title: &str, sets: &[String], points: &[Point], peers: &[Point]) -> Result<String> {
    let plot = plot(sets, points, peers).map_err(|error| Error::Plot(error.to_string()))?;
    let all: Vec<&Point> = points.iter().chain(peers).collect();
    let mut lines = rows(sets, &all).into_iter();
    let cells = |row: Vec<String>, tag: &str| -> String {
        let cells = row
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let head = cells(lines.next().unwrap_or_default(), "th");
    let body: String = lines.map(|row| cells(row, "td")).collect();
    let title = escape(title);
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}: bytes against score</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p>Spearman's rank correlation × 100 between people's scores and cosines, against the bytes of the \
         whole file. Columns of lengths are over pairs with so many tokens a text.</p>\n\
         {plot}\n<table>\n{head}{body}</table>\n</body></html>\n"
    ))
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

fn plot(
    sets: &[String],
    points: &[Point],
    peers: &[Point],
) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let kilobytes = |point: &Point| point.bytes as f64 / 1000.0;
    let all = || points.iter().chain(peers);
    let (left, right) = range(all().map(kilobytes));
    let (bottom, top) = range(all().flat_map(|p| p.scores.iter().map(|score| score.spearman)));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(
                (left / 1.2..right * 1.2).log_scale(),
                bottom - 1.0..top + 1.0,
            )?;
        chart
            .configure_mesh()
            .x_desc("KB")
            .y_desc("Spearman × 100")
            .x_label_formatter(&|kb| format!("{kb}"))
            .y_label_formatter(&|score| format!("{score:.0}"))
            .draw()?;
        for (at, set) in sets.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let at_score = |point: &Point| (kilobytes(point), point.scores[at].spearman);
            chart
                .draw_series(
                    LineSeries::new(points.iter().map(at_score), colour.stroke_width(2))
                        .point_size(4),
                )?
                .label(format!("flashvec, {set}"))
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2))
                });
            chart
                .draw_series(
                    peers
                        .iter()
                        .map(|p| Cross::new(at_score(p), 6, colour.stroke_width(2))),
                )?
                .label(format!("Model2Vec folders, {set}"))
                .legend(move |(x, y)| Cross::new((x + 10, y), 5, colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
