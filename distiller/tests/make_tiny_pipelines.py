"""Makes tests/data/pipelines: a folder of each task as Python's StaticModelPipeline saves it, and what it says of texts.

Run once with Model2Vec installed: pip install model2vec==0.10.0 && python make_tiny_pipelines.py
"""
import json
import shutil
from pathlib import Path

import numpy as np
from model2vec import StaticModel
from model2vec.inference import StaticModelPipeline
from model2vec.inference.mlp import Activation, Layer, MLPHead
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

OUT = Path(__file__).resolve().parent / "data/pipelines"
WORDS = """[PAD] [UNK] turn on off the light kitchen play some music by book a table for two rain will it today tomorrow
##s ##ing ##er . , ? !""".split()
# Without tokens, with unknown ones, with punctuation of a script that the vocabulary has no letters of, long.
TEXTS = ["turn on the kitchen lights", "Play some music by…", "will it rain tomorrow?", "book a table for two", "",
         "nobody knows these", "playing, raining!", "turn。off、the light", "the " * 40 + "rain",
         "lights off, music on", "BOOKING a booker for today"]
DIMS = 12


def static_model(rng, normalize, weights):
    tokenizer = Tokenizer(WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    vectors = rng.normal(size=(len(WORDS), DIMS)).astype(np.float32)
    weights = rng.uniform(0.2, 2, len(WORDS)).astype(np.float32) if weights else None
    return StaticModel(vectors, tokenizer, normalize=normalize, weights=weights, max_length=32)


def layers(rng, *sizes):
    return [Layer(rng.normal(size=(outputs, inputs)).astype(np.float32), rng.normal(size=outputs).astype(np.float32))
            for inputs, outputs in zip(sizes, sizes[1:])]


rng = np.random.default_rng(5)
CASES = {
    "softmax": (static_model(rng, True, False), layers(rng, DIMS, 4), Activation.SOFTMAX,
                ["lights off", "lights on", "musique, ça", "weather"]),
    "softmax-hidden": (static_model(rng, True, True), layers(rng, DIMS, 9, 3), Activation.SOFTMAX, [10, 20, 30]),
    "sigmoid": (static_model(rng, False, True), layers(rng, DIMS, 5, 3), Activation.SIGMOID, ["home", "fun", "food"]),
    "regression": (static_model(rng, False, False), layers(rng, DIMS, 6, 2), Activation.IDENTITY, None),
    "three-layers": (static_model(rng, True, False), layers(rng, DIMS, 6, 5, 2), Activation.SOFTMAX, ["a", "b"]),
}
shutil.rmtree(OUT, ignore_errors=True)
for name, (model, head, activation, classes) in CASES.items():
    classes = None if classes is None else np.asarray(classes)
    StaticModelPipeline(model, MLPHead(head, activation, classes)).save_pretrained(OUT / name)
    pipeline = StaticModelPipeline.from_pretrained(OUT / name)
    scores = pipeline.head.predict_proba(pipeline.model.encode(TEXTS)).astype(float)
    expected = {"texts": TEXTS, "scores": np.round(scores, 6).tolist()}
    (OUT / name / "expected_scores.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")
