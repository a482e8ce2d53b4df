"""Train the cased multilingual WordPiece tokenizer of the parity tests.

    python train_cased.py OUT.json TEXTS...

Needs `pip install tokenizers==0.22.2`. TEXTS are plain text, one sentence a line; the committed
file was trained on Wikipedia sentences in English and German and the French and Spanish
translations of STS-B.
"""
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

out, *texts = sys.argv[1:]
tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tokenizer.decoder = decoders.WordPiece(prefix="##")
# Letters of scripts that the texts hardly have, among them some with combining marks, Hangul
# jamo and syllables, compatibility ideographs and characters beyond the basic plane.
alphabet = "".join(map(chr, [*range(0x21, 0x7F), *range(0xA1, 0x180), *range(0x391, 0x3CF), *range(0x410, 0x450),
                             *range(0x5D0, 0x5EB), *range(0x621, 0x64B), 0x301, 0x308, 0x64E, 0x93C, 0x94D, 0x1100, 0x1161,
                             0xAC00, 0xD55C, 0xAE00, 0x4E00, 0x4E2D, 0x6587, 0xF900, 0x1D400, 0x1F600]))
trainer = trainers.WordPieceTrainer(vocab_size=8192, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
                                    initial_alphabet=list(alphabet), limit_alphabet=1000, show_progress=False)
tokenizer.train(texts, trainer)
tokenizer.save(out, pretty=False)
print(tokenizer.get_vocab_size(), "tokens")
