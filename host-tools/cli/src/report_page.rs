//! The page that `flashvec report` writes: what models are, how training went, what they score.

use std::collections::BTreeMap;
use std::fmt::Display;

use flashvec::image::Image;
use plotters::prelude::*;

use crate::error::Result;
use crate::evaluation::sets::{Scored, Scores, Sets, length_cell, short, strings};
use crate::history::History;
use crate::model_file::ModelFile;
use crate::page::{
    COLOURS, Series, bounds, bytes_against_scores, escape, html, number, svg, table,
};

/// A model and what its image says of it.
pub struct Described<'a> {
    pub file: &'a ModelFile,
    pub image: Image<'a>,
    /// All parts of the image, in bytes. What comes before a colon is what a part belongs to.
    pub sizes: Vec<(&'static str, usize)>,
}

/// One HTML page; nothing in it is fetched from elsewhere. Models are numbered from 1, the same in all tables and plots.
///
/// # Errors
/// [`Error::Plot`](crate::error::Error::Plot).
pub fn page(
    title: &str,
    models: &[Described<'_>],
    history: Option<&History>,
    sets: &Sets,
    scored: &[Scored<'_>],
) -> Result<String> {
    let mut body = format!("<h1>{}</h1>\n", escape(title));
    body += &facts(models);
    body += &bytes(models)?;
    if let Some(history) = history {
        body += &training(history)?;
    }
    if !sets.is_empty() {
        body += &scores(sets, scored)?;
    }
    Ok(html(title, &body))
}

/// What models are, and how they were made.
fn facts(models: &[Described<'_>]) -> String {
    let mut rows = vec![strings([
        "model", "bytes", "tokens", "dims", "codec", "teacher", "licence",
    ])];
    let mut made = String::new();
    for (at, Described { file, image, .. }) in models.iter().enumerate() {
        let header = &image.header;
        let provenance = &header.provenance;
        rows.push(vec![
            numbered(at, &file.path().display()),
            file.bytes().len().to_string(),
            header.token_count.to_string(),
            header.dims.to_string(),
            header.codec.to_string(),
            or_dash(provenance.teacher),
            or_dash(provenance.licence),
        ]);
        made += &if file.is_made() {
            "<li>Model2Vec folder; bytes are those of the image that <code>flashvec convert</code> makes of it</li>\n"
                .to_owned()
        } else {
            format!(
                "<li><code>{}</code>, {}</li>\n",
                escape(&or_dash(provenance.command)),
                escape(&or_dash(provenance.tool))
            )
        };
    }
    format!(
        "<h2>Models</h2>\n{}<p>Made by</p>\n<ol>\n{made}</ol>\n",
        table(&rows, 1)
    )
}

/// A model's name after its number; `at` counts from 0.
fn numbered(at: usize, name: &dyn Display) -> String {
    format!("{}. {name}", at + 1)
}

fn or_dash(text: &str) -> String {
    let text = if text.is_empty() { "-" } else { text };
    text.to_owned()
}

/// Where the bytes of images go.
fn bytes(models: &[Described<'_>]) -> Result<String> {
    let mut groups: Vec<&str> = Vec::new();
    let mut sums: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new(); models.len()];
    for (model, sums) in models.iter().zip(&mut sums) {
        for &(part, len) in &model.sizes {
            let group = match part.split(':').next() {
                // Twenty bytes are not to be seen.
                Some("prelude") | None => "header",
                Some(group) => group,
            };
            if !groups.contains(&group) {
                groups.push(group);
            }
            *sums.entry(group).or_default() += len;
        }
    }
    let sum = |model: usize, group: &str| sums[model].get(group).copied().unwrap_or(0);
    let mut rows = vec![strings(["model", "bytes"])];
    rows[0].extend(groups.iter().map(|&group| group.to_owned()));
    for (at, model) in models.iter().enumerate() {
        let mut row = vec![
            numbered(at, &model.file.path().display()),
            model.file.bytes().len().to_string(),
        ];
        row.extend(groups.iter().map(|group| sum(at, group).to_string()));
        rows.push(row);
    }
    let bars: Vec<Vec<usize>> = (0..models.len())
        .map(|at| groups.iter().map(|group| sum(at, group)).collect())
        .collect();
    let legend = groups.iter().enumerate().map(|(at, group)| {
        let RGBColor(red, green, blue) = COLOURS[at % COLOURS.len()];
        format!("<span style=\"color:rgb({red},{green},{blue})\">■</span> {group} ")
    });
    Ok(format!(
        "<h2>Where the bytes go</h2>\n<figure>{}<figcaption>{}</figcaption></figure>\n{}",
        bars_of(&bars)?,
        legend.collect::<String>(),
        table(&rows, 1)
    ))
}

/// Pixels of height that a bar has, with the room around it.
const BAR: i32 = 34;

/// A bar a model, which consists of so many bytes of each group.
fn bars_of(bars: &[Vec<usize>]) -> Result<String> {
    let kilobytes = |bytes: usize| bytes as f64 / 1000.0;
    let sums = bars.iter().map(|parts| parts.iter().sum::<usize>());
    let largest = kilobytes(sums.max().unwrap_or(0));
    let height = BAR * bars.len() as i32;
    let middles = (0..bars.len() as i32).map(|at| BAR * at + BAR / 2);
    svg(64 + height as u32, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(30)
            .build_cartesian_2d(
                0.0..largest * 1.02,
                // The first model at the top.
                (height..0).with_key_points(middles.collect()),
            )?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .max_light_lines(1)
            .x_desc("KB of 1,000 bytes")
            .x_label_formatter(&|kilobytes| number(*kilobytes))
            .y_label_formatter(&|middle| (middle / BAR + 1).to_string())
            .draw()?;
        for (at, parts) in (0..).zip(bars) {
            let mut left = 0;
            for (group, &part) in parts.iter().enumerate().filter(|&(_, &part)| part > 0) {
                let (top, bottom) = (BAR * at + 5, BAR * (at + 1) - 5);
                chart.draw_series([Rectangle::new(
                    [(kilobytes(left), top), (kilobytes(left + part), bottom)],
                    COLOURS[group % COLOURS.len()].filled(),
                )])?;
                left += part;
            }
        }
        Ok(())
    })
}

/// Loss, at the left, and held-out cosine, at the right, by epoch.
fn training(history: &History) -> Result<String> {
    let count = history.epochs.len();
    let values = |of: fn(&crate::history::EpochScores) -> f64| -> Vec<f64> {
        history.epochs.iter().map(of).collect()
    };
    let (losses, cosines) = (values(|epoch| epoch.loss), values(|epoch| epoch.held_out));
    let by_epoch =
        |values: &[f64]| -> Vec<(i32, f64)> { (1..).zip(values.iter().copied()).collect() };
    let last_epoch = count as i32;
    let epochs = 0..last_epoch + 1;
    let ticks = (1..=last_epoch).step_by(count.div_ceil(20));
    let plot = svg(380, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .right_y_label_area_size(60)
            .build_cartesian_2d(
                epochs.clone().with_key_points(ticks.collect()),
                padded(&losses),
            )?
            .set_secondary_coord(epochs, padded(&cosines));
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(1)
            .x_desc("epoch")
            .y_desc("loss")
            .y_label_formatter(&|loss| number(*loss))
            .draw()?;
        chart
            .configure_secondary_axes()
            .y_desc("held-out cosine")
            .y_label_formatter(&|cosine| number(*cosine))
            .draw()?;
        let [left, right] = [COLOURS[0], COLOURS[1]].map(|colour| colour.stroke_width(2));
        chart
            .draw_series(LineSeries::new(by_epoch(&losses), left).point_size(2))?
            .label("loss (left)")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], left));
        chart
            .draw_secondary_series(LineSeries::new(by_epoch(&cosines), right).point_size(2))?
            .label("held-out cosine (right)")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], right));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::MiddleRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        Ok(())
    })?;
    let last = &history.epochs[count - 1];
    let best = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(format!(
        "<h2>Training</h2>\n<figure>{plot}<figcaption>Loss over the texts trained on and mean cosine of texts held \
         out. After epoch {count} the loss is {:.4} and the cosine {:.4}; the best cosine is {best:.4}.\
         </figcaption></figure>\n",
        last.loss, last.held_out
    ))
}

/// A range with some room around the values, which are finite: wide enough for its ticks to differ.
fn padded(values: &[f64]) -> std::ops::Range<f64> {
    let range = bounds(values.iter().copied());
    let largest = range.start.abs().max(range.end.abs());
    let room = (0.05 * (range.end - range.start))
        .max(0.001 * largest)
        .max(0.001);
    range.start - room..range.end + room
}

/// Plots and tables of all scores.
fn scores(sets: &Sets, scored: &[Scored<'_>]) -> Result<String> {
    let mut html = "<h2>Scores</h2>\n<p>All are times 100. Spearman: rank correlation between people's scores of \
                    sentence pairs and cosines. Accuracy and macro-F1: of logistic regression on the embeddings. \
                    nDCG@10: of documents ranked by cosine.</p>\n"
        .to_owned();
    if scored.len() > 1 {
        html += &plots(sets, scored)?;
    }
    let mut rows = sets.comparison(scored, false);
    for (at, row) in rows.iter_mut().skip(2).enumerate() {
        row[0] = numbered(at, &row[0]);
    }
    html += &table(&rows, 2);
    if !sets.sts.is_empty() {
        html += "<h2>Spearman by length</h2>\n<p>Tokens a text, the mean of a pair's two; how many pairs is in \
                 parentheses, and fewer than 20 have no score.</p>\n";
    }
    for (at, pairs) in sets.sts.iter().enumerate() {
        let mut rows = vec![strings(["model", "all"])];
        let lengths = scored.first().map(|model| &model.scores.sts[at].by_length);
        let lengths = lengths.into_iter().flatten();
        rows[0].extend(lengths.map(|length| format!("{} tokens", length.tokens)));
        for (number, model) in scored.iter().enumerate() {
            let score = &model.scores.sts[at];
            let mut row = vec![
                numbered(number, &model.path.display()),
                format!("{:.2} ({})", score.spearman, pairs.len()),
            ];
            row.extend(score.by_length.iter().map(length_cell));
            rows.push(row);
        }
        html += &format!("<h3>{}</h3>\n", escape(&short(&pairs.path)));
        html += &table(&rows, 1);
    }
    Ok(html)
}

/// Bytes against scores: a plot for each kind of set, with a line a set.
fn plots(sets: &Sets, scored: &[Scored<'_>]) -> Result<String> {
    let mut numbers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (number, model) in (1..).zip(scored) {
        numbers
            .entry(model.bytes)
            .or_default()
            .push(number.to_string());
    }
    let marks: Vec<(f64, String)> = numbers
        .into_iter()
        .map(|(bytes, numbers)| (bytes as f64, numbers.join(", ")))
        .collect();
    let mut by_bytes: Vec<&Scored<'_>> = scored.iter().collect();
    by_bytes.sort_by_key(|model| model.bytes);
    let series = |colour: usize, label: String, score: &dyn Fn(&Scores) -> f64| Series {
        label,
        colour,
        line: true,
        points: by_bytes
            .iter()
            .map(|model| (model.bytes as f64, score(&model.scores)))
            .collect(),
    };
    let sts = sets
        .sts
        .iter()
        .enumerate()
        .map(|(at, set)| series(at, short(&set.path), &|scores| scores.sts[at].spearman));
    let classify = sets.classify.iter().enumerate().map(|(at, set)| {
        series(at, short(&set.test_path), &|scores| {
            scores.classify[at].accuracy
        })
    });
    let retrieval = sets
        .retrieval
        .iter()
        .enumerate()
        .map(|(at, set)| series(at, short(&set.folder), &|scores| scores.retrieval[at]));
    let kinds: [(&str, Vec<Series>); 3] = [
        ("Spearman × 100", sts.collect()),
        ("accuracy × 100", classify.collect()),
        ("nDCG@10 × 100", retrieval.collect()),
    ];
    let mut html = String::new();
    for (metric, series) in kinds.iter().filter(|(_, series)| !series.is_empty()) {
        html += &format!(
            "<figure>{}<figcaption>{metric} against bytes, on a logarithmic scale; above are the models' numbers.\
             </figcaption></figure>\n",
            bytes_against_scores(metric, series, &marks)?
        );
    }
    Ok(html)
}
