"""Train the peers' text classifiers and test them, beside `flashvec train` and `flashvec eval --test`.

    python -m venv venv && venv/bin/pip install -r tests/peers/requirements.txt
    venv/bin/python tests/peers/classification_peers.py model2vec FOLDER SET... [--seeds 1 2 3]
    venv/bin/python tests/peers/classification_peers.py svm SET...
    venv/bin/python tests/peers/classification_peers.py fasttext SET... --sizes 262144 65536 [--seeds 1 2 3]

A SET is a folder with train.tsv and test.tsv: a header line, then label TAB text. Prints one JSON line for each
classifier: accuracy and macro-F1 on test.tsv, seconds of training, and bytes of what a program would have to keep.

model2vec: StaticModelForClassification as it comes, on the static model in FOLDER; saved and tested with 16-bit rows.
svm: TF-IDF of words and pairs of words with sublinear counts, a linear SVM; C is chosen on every tenth training row.
fasttext: words and pairs of words, quantised and cut to at most each size; dimensions and character n-grams are chosen
for each size on every tenth training row. It takes rows in file order, so they are shuffled first.
"""
import argparse
import json
import logging
import os
import pathlib
import random
import re
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"


def read(path):
    """The labels and the texts of a file."""
    with open(path, encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\r\n").split("\t") for line in file][1:]
    return [label for label, _ in rows], [text for _, text in rows]


def split(labels, texts):
    """Every tenth row, and the others."""
    dev = labels[::10], texts[::10]
    others = [at for at in range(len(texts)) if at % 10]
    return dev, ([labels[at] for at in others], [texts[at] for at in others])


def scores(expected, predicted):
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": round(100 * accuracy_score(expected, predicted), 2),
        "macro_f1": round(100 * f1_score(expected, predicted, average="macro"), 2),
    }


def model2vec(args, folder):
    import numpy as np
    import torch
    from model2vec.inference import StaticModelPipeline
    from model2vec.train import StaticModelForClassification

    torch.set_num_threads(1)
    labels, texts = read(folder / "train.tsv")
    test_labels, test_texts = read(folder / "test.tsv")
    for seed in args.seeds:
        start = time.perf_counter()
        model = StaticModelForClassification.from_pretrained(args.base)
        model.fit(texts, labels, random_seed=seed, device="cpu")
        seconds = time.perf_counter() - start
        pipeline = model.to_pipeline()
        pipeline.model.embedding = pipeline.model.embedding.astype(np.float16)
        with tempfile.TemporaryDirectory() as saved:
            pipeline.save_pretrained(saved)
            size = sum(file.stat().st_size for file in pathlib.Path(saved).rglob("*") if file.is_file())
            pipeline = StaticModelPipeline.from_pretrained(saved)
        found = pipeline.predict(test_texts, use_multiprocessing=False)
        yield {"seed": seed, **scores(test_labels, found), "bytes": size, "seconds": round(seconds, 1)}


def svm(_, folder):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    def fit(labels, texts, c):
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        return make_pipeline(words, LinearSVC(C=c, random_state=0)).fit(texts, labels)

    start = time.perf_counter()
    labels, texts = read(folder / "train.tsv")
    (dev_labels, dev_texts), others = split(labels, texts)
    tried = [(fit(*others, c).score(dev_texts, dev_labels), -c) for c in (0.1, 0.3, 1, 3, 10)]
    c = -max(tried)[1]
    model = fit(labels, texts, c)
    seconds = time.perf_counter() - start
    words = model[0].vocabulary_
    # Names and inverse frequencies of features, and a 32-bit weight for each label.
    size = sum(len(word.encode()) + 4 for word in words) + 4 * model[1].coef_.size
    test_labels, test_texts = read(folder / "test.tsv")
    yield {"c": c, **scores(test_labels, model.predict(test_texts)), "bytes": size, "seconds": round(seconds, 1)}


class FastText:
    """Trains with one set of options in the current folder, and cuts the model to sizes."""

    BUCKETS = 200_000
    FEWEST = 256
    OPTIONS = [(dims, chars) for chars in ((0, 0), (3, 5)) for dims in (4, 8, 16, 32)]

    def __init__(self, rows, options, seed):
        import fasttext

        fasttext.FastText.eprint = lambda *_: None
        self.load = fasttext.load_model
        self.dims, (shortest, longest) = options
        rows = random.Random(seed).sample(rows, len(rows))
        pathlib.Path("rows.txt").write_text("".join(rows), encoding="utf-8")
        words = sum(row.count(" ") for row in rows)
        model = fasttext.train_supervised(
            "rows.txt", dim=self.dims, minn=shortest, maxn=longest, wordNgrams=2, bucket=self.BUCKETS, lr=0.5,
            epoch=min(60, max(5, 8_000_000 // words)), thread=1, seed=seed, verbose=0,
        )
        model.save_model("whole.bin")
        self.features = len(model.words) + self.BUCKETS

    def quantised(self, features, retrain):
        model = self.load("whole.bin")
        model.quantize("rows.txt", cutoff=features, retrain=retrain, qnorm=True, thread=1, verbose=-1)
        model.save_model("cut.ftz")
        return model, os.path.getsize("cut.ftz")

    def cut(self, size):
        """The largest model of at most this many bytes, or None if there is none."""
        low, high = 0, self.features
        features = max(self.FEWEST, size // (self.dims // 2 + 14))
        for _ in range(6):
            features = min(features, self.features)
            bytes_ = self.quantised(features, False)[1]
            if bytes_ <= size:
                low = features
            else:
                high = features
            if 0.98 * size <= bytes_ <= size or high <= self.FEWEST or low == self.features:
                break
            guess = features + int((0.99 * size - bytes_) / (self.dims / 2 + 12))
            # Outside what is known, halfway.
            features = guess if low < guess < high else max(self.FEWEST, (low + high) // 2)
        return self.quantised(low, True) if low else None


def fasttext(args, folder):
    def spaced(text):
        return re.sub(r"([^\w\s])", r" \1 ", text.lower())

    def rows(labels, texts):
        return [f"__label__{label} {spaced(text)}\n" for label, text in zip(labels, texts)]

    def predict(model, texts):
        found, _ = model.predict([spaced(text) for text in texts])
        return [labels[0].removeprefix("__label__") for labels in found]

    def read_plain(path):
        labels, texts = read(path)
        return [label.replace(" ", "_") for label in labels], texts

    folder = folder.resolve()
    labels, texts = read_plain(folder / "train.tsv")
    test_labels, test_texts = read_plain(folder / "test.tsv")
    (dev_labels, dev_texts), others = split(labels, texts)
    back = os.getcwd()
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            os.chdir(scratch)
            tried = {size: [] for size in args.sizes}
            for options in FastText.OPTIONS:
                trained = FastText(rows(*others), options, seed)
                for size in args.sizes:
                    if cut := trained.cut(size):
                        score = scores(dev_labels, predict(cut[0], dev_texts))["accuracy"]
                        tried[size].append((score, options))
            for size in args.sizes:
                report = {"seed": seed, "size": size}
                if tried[size]:
                    start = time.perf_counter()
                    options = max(tried[size])[1]
                    if cut := FastText(rows(labels, texts), options, seed).cut(size):
                        report |= scores(test_labels, predict(cut[0], test_texts))
                        report |= {"bytes": cut[1], "dims": options[0], "characters": options[1]}
                        report["seconds"] = round(time.perf_counter() - start, 1)
                yield report
            os.chdir(back)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
for function in (model2vec, svm, fasttext):
    command = commands.add_parser(function.__name__)
    command.set_defaults(function=function)
    if function is model2vec:
        command.add_argument("base", metavar="FOLDER")
    command.add_argument("sets", nargs="+", type=pathlib.Path, metavar="SET")
    if function is not svm:
        command.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    if function is fasttext:
        command.add_argument("--sizes", type=int, nargs="+", required=True, metavar="BYTES")
logging.disable(logging.WARNING)
args = parser.parse_args()
for folder in args.sets:
    for report in args.function(args, folder):
        print(json.dumps({"peer": args.function.__name__, "set": folder.name, **report}), flush=True)
