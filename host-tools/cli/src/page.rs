//! What HTML pages with plots are made of. Nothing in a page is fetched from elsewhere.

use std::error::Error as StdError;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::{Error, Result};

pub type Drawing<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = std::result::Result<(), Box<dyn StdError>>;

pub const WIDTH: u32 = 900;
/// Okabe and Ito's colours, which most people can tell apart, on light and dark ground.
pub const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
/// Plots are drawn in black on white, which the page's own colours take the place of.
const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
    table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
    td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #8886}\
    td:first-child,th:first-child{text-align:left}\
    .wide{overflow-x:auto}figure{margin:1em 0}figcaption{font-size:.9em}code{overflow-wrap:anywhere}\
    svg{max-width:100%;height:auto}\
    svg [fill=\"#000000\"]{fill:CanvasText}svg [stroke=\"#000000\"]{stroke:CanvasText}\
    svg [fill=\"#FFFFFF\"]{fill:Canvas}";

/// A whole page. `title` is text, `body` HTML.
pub fn html(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n\
         <style>{STYLE}</style></head><body>\n{body}</body></html>\n"
    )
}

/// A table of texts, whose first `heads` rows are its head.
pub fn table(rows: &[Vec<String>], heads: usize) -> String {
    let mut table = "<div class=\"wide\"><table>\n".to_owned();
    for (at, row) in rows.iter().enumerate() {
        let tag = if at < heads { "th" } else { "td" };
        let cells = row
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        table.push_str(&format!("<tr>{}</tr>\n", cells.collect::<String>()));
    }
    table + "</table></div>\n"
}

/// Text as it is written between tags.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A plot, as an element of a page.
///
/// # Errors
/// [`Error::Plot`].
pub fn svg(height: u32, draw: impl FnOnce(&Drawing<'_>) -> Drawn) -> Result<String> {
    svg_of((WIDTH, height), draw)
}

/// A picture of this width and height.
///
/// # Errors
/// [`Error::Plot`].
pub fn svg_of(size: (u32, u32), draw: impl FnOnce(&Drawing<'_>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&root).and_then(|()| Ok(root.present()?))
    };
    drawn.map_err(|error| Error::Plot(error.to_string()))?;
    Ok(svg)
}

/// Scores of models of some sizes.
pub struct Series {
    pub label: String,
    /// Index into [`COLOURS`], which begin again after the last.
    pub colour: usize,
    /// A line through the points, or crosses at them.
    pub line: bool,
    /// Bytes and score.
    pub points: Vec<(f64, f64)>,
}

/// Bytes, on a logarithmic scale, against scores. `marks` are texts above the plot, at so many bytes.
///
/// # Errors
/// [`Error::Plot`], also if there are no points.
pub fn bytes_against_scores(
    metric: &str,
    series: &[Series],
    marks: &[(f64, String)],
) -> Result<String> {
    let points = || series.iter().flat_map(|series| &series.points);
    if points().next().is_none() {
        return Err(Error::Plot("there are no scores".to_owned()));
    }
    let kilobytes = |bytes: f64| bytes / 1000.0;
    let sizes = bounds(points().map(|&(bytes, _)| kilobytes(bytes)));
    let sizes = sizes.start / 1.2..sizes.end * 1.2;
    let scores = bounds(points().map(|&(_, score)| score));
    let scores = scores.start - 1.0..scores.end + 1.0;
    svg(520, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .margin_top(30)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(
                sizes.clone().log_scale().with_key_points(log_ticks(&sizes)),
                scores.clone(),
            )?;
        chart
            .configure_mesh()
            .max_light_lines(1)
            .x_desc("KB of 1,000 bytes")
            .y_desc(metric)
            .x_label_formatter(&|kilobytes| number(*kilobytes))
            .y_label_formatter(&|score| number(*score))
            .draw()?;
        for series in series {
            let colour = COLOURS[series.colour % COLOURS.len()].stroke_width(2);
            let points = series
                .points
                .iter()
                .map(|&(bytes, score)| (kilobytes(bytes), score));
            if series.line {
                chart
                    .draw_series(LineSeries::new(points, colour).point_size(4))?
                    .label(&series.label)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
            } else {
                chart
                    .draw_series(points.map(|point| Cross::new(point, 6, colour)))?
                    .label(&series.label)
                    .legend(move |(x, y)| Cross::new((x + 10, y), 5, colour));
            }
        }
        for (bytes, text) in marks {
            let (x, y) = chart.backend_coord(&(kilobytes(*bytes), scores.end));
            root.draw(&Text::new(
                text.as_str(),
                (x - 4, y - 16),
                ("sans-serif", 14),
            ))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        Ok(())
    })
}

/// The least and the greatest value.
pub fn bounds(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    low..high
}

/// A value at an axis, without digits that say nothing.
pub fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    // Not the minus of what was rounded to nothing.
    (rounded + 0.0).to_string()
}

/// Round values in a range that spans a factor of 1.44 or more: few if that will do.
fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    let decades = range.start.log10().floor() as i32..=range.end.log10().floor() as i32;
    let ticks = |steps: &[f64]| -> Vec<f64> {
        decades
            .clone()
            .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
            .filter(|tick| range.contains(tick))
            .collect()
    };
    let few = ticks(&[1.0, 2.0, 5.0]);
    if few.len() > 2 {
        return few;
    }
    ticks(&[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_of_sizes_has_ticks() {
        assert_eq!(log_ticks(&(213.0..1320.0))[..2], [250.0, 300.0]);
        assert_eq!(log_ticks(&(30.0..300.0)), [50.0, 100.0, 200.0]);
        for start in 1..2000 {
            let start = f64::from(start) / 10.0;
            let ticks = log_ticks(&(start..start * 1.44));
            assert!((1..=4).contains(&ticks.len()), "{start}: {ticks:?}");
        }
    }

    #[test]
    fn numbers_are_rounded() {
        let numbers = [77.5, 78.0, 0.1 + 0.2, -1e-9, 1200.0].map(number);
        assert_eq!(numbers, ["77.5", "78", "0.3", "0", "1200"]);
    }
}
