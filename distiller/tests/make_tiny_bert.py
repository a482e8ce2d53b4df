"""Makes tests/data/tiny-bert: a BERT teacher of random weights and what Python computes from it.

Run once with model2vec[distill] 0.10 and PyTorch installed: python make_tiny_bert.py
"""
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from model2vec.distill import distill
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

OUT = Path(__file__).resolve().parent / "data/tiny-bert"
LETTERS = "abcde"
WORDS = ["bad", "cab", "dab", "bead", "decade", "##ed", "##ace", "##ade", "##ba", "cede", "face", "é", "##é", "中"]
VOCABULARY = (["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
              + [f"##{letter}" for letter in LETTERS] + WORDS + ["[unused2] x"])
SEQUENCES = [[4, 9, 5], [12], [4, *range(7, 30), 5]]
HIDDEN_ACTS = ["gelu", "gelu_new", "relu"]
DIMS = 8

shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
ids = {token: id for id, token in enumerate(VOCABULARY)}
tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tokenizer.decoder = decoders.WordPiece()
tokenizer.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
    special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])])
tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
tokenizer.save(str(OUT / "tokenizer.json"))
special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 32, **special}
(OUT / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
(OUT / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\ntags:\n- test\n---\n\n# A teacher of random weights\n")

torch.manual_seed(7)
config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=40, max_position_embeddings=32)
model = BertModel(config, add_pooling_layer=False).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        # Norms stay close to 1 and weights are large enough for every part to matter.
        centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        parameter.copy_(centre + torch.randn_like(parameter) * 0.3)
model.save_pretrained(OUT)

expected = {"sequences": SEQUENCES}
for hidden_act in HIDDEN_ACTS:
    model.config.hidden_act = hidden_act
    other = BertModel(model.config, add_pooling_layer=False).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        states = [other(input_ids=torch.tensor([sequence])).last_hidden_state[0] for sequence in SEQUENCES]
    expected[hidden_act] = np.round(torch.cat(states).flatten().numpy().astype(float), 6).tolist()
(OUT / "expected_states.json").write_text(json.dumps(expected) + "\n")

static = distill(str(OUT), pca_dims=DIMS, quantize_to="float32", device="cpu")
table = {"dims": DIMS, "rows": [float(f"{value:.6g}") for value in static.embedding.flatten()],
         "tokenizer": json.loads(static.tokenizer.to_str())}
(OUT / "expected_distilled.json").write_text(json.dumps(table, ensure_ascii=False) + "\n")
