"""Makes tests/data/teachers: a teacher of random weights of each further family, and what Python computes from it.

Run once with PyTorch and transformers 5.3 installed: python make_tiny_teachers.py
"""
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch
from transformers import (DistilBertConfig, DistilBertForMaskedLM, ModernBertConfig, ModernBertForMaskedLM,
                          MPNetConfig, MPNetModel, RobertaConfig, RobertaModel, XLMRobertaConfig, XLMRobertaForMaskedLM)

OUT = Path(__file__).resolve().parent / "data/teachers"
VOCABULARY = 48
# The second has the id that RoBERTa and MPNet pad with inside it: no position is counted for that one.
SEQUENCES = [[0, 9, 2], [0, 1, 11, 2], [12], [0, *range(4, 30), 2], [0, 30, 2]]
SIZES = dict(vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40)
POSITIONS = 32
# RoBERTa and MPNet count from behind the padding's position.
OFFSET_POSITIONS = dict(max_position_embeddings=POSITIONS + 2, pad_token_id=1)


class Script(torch.nn.Module):
    """A teacher of none of the families: each state is made of its own embedding and the mean of all."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, 24)
        self.dense = torch.nn.Linear(24, 24)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor):
        states = self.embedding(input_ids)
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
        return {"last_hidden_state": torch.tanh(self.dense(states) + mean)}


def randomise(model):
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            # Norms stay close to 1 and weights are large enough for every part to matter.
            is_norm = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(float(is_norm) + torch.randn_like(parameter) * 0.3)


def expected(states_of):
    with torch.no_grad():
        states = [states_of(torch.tensor([sequence])) for sequence in SEQUENCES]
    states = torch.cat([state[0] for state in states]).flatten()
    return {"sequences": SEQUENCES, "states": np.round(states.numpy().astype(float), 6).tolist()}


def write(folder, model, base="", dtype=torch.float32, **save):
    """Saves `model` in a type, and what the encoder in it, under the name `base`, computes in f32 of those weights."""
    torch.manual_seed(7)
    randomise(model)
    model.to(dtype).save_pretrained(folder, **save)
    # Read again, since the change of type has rounded more than weights.
    encoder = type(model).from_pretrained(folder, dtype=torch.float32).get_submodule(base).eval()
    states = expected(lambda ids: encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state)
    (folder / "expected_states.json").write_text(json.dumps(states) + "\n")


shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)

roberta = RobertaModel(RobertaConfig(**SIZES, **OFFSET_POSITIONS, type_vocab_size=1, layer_norm_eps=1e-5),
                       add_pooling_layer=False)
write(OUT / "roberta", roberta, max_shard_size="20KB")

xlm = XLMRobertaForMaskedLM(XLMRobertaConfig(**SIZES, **OFFSET_POSITIONS, type_vocab_size=1, layer_norm_eps=1e-5))
write(OUT / "xlm-roberta", xlm, "roberta")

distilbert = DistilBertForMaskedLM(DistilBertConfig(vocab_size=VOCABULARY, dim=24, n_layers=2, n_heads=2, hidden_dim=40,
                                                    max_position_embeddings=POSITIONS))
write(OUT / "distilbert", distilbert, "distilbert")

mpnet = MPNetModel(MPNetConfig(**SIZES, **OFFSET_POSITIONS, layer_norm_eps=1e-5), add_pooling_layer=False)
write(OUT / "mpnet", mpnet, dtype=torch.float16)

modernbert = ModernBertForMaskedLM(ModernBertConfig(
    **{**SIZES, "num_hidden_layers": 4}, max_position_embeddings=POSITIONS, local_attention=8, pad_token_id=1,
    bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 160000.0},
                     "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}))
write(OUT / "modernbert", modernbert, "model", dtype=torch.bfloat16)

folder = OUT / "torchscript"
folder.mkdir()
torch.manual_seed(7)
script = Script().eval()
randomise(script)
ids = torch.tensor([SEQUENCES[1]])
traced = torch.jit.trace(script, (ids, torch.ones_like(ids)), strict=False)
buffer = io.BytesIO()
torch.jit.save(traced, buffer)
with zipfile.ZipFile(buffer) as made, zipfile.ZipFile(folder / "encoder.pt", "w") as kept:
    for name in made.namelist():
        # Where in which file on which machine the code was.
        if not name.endswith(".debug_pkl"):
            kept.writestr(zipfile.ZipInfo(name), made.read(name))
config = {"vocab_size": VOCABULARY, "hidden_size": 24, "max_position_embeddings": POSITIONS}
(folder / "config.json").write_text(json.dumps(config) + "\n")
states = expected(lambda ids: script(ids, torch.ones_like(ids))["last_hidden_state"])
(folder / "expected_states.json").write_text(json.dumps(states) + "\n")
