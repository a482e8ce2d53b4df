"""Compare flashvec with Python's model2vec 0.10.

    python -m venv venv && venv/bin/pip install -r tests/peers/requirements.txt
    venv/bin/python tests/peers/model2vec_peer.py embeddings FOLDER EMBEDDINGS.npy TEXTS
    venv/bin/python tests/peers/model2vec_peer.py cosines FOLDER_A FOLDER_B STS.tsv
    venv/bin/python tests/peers/model2vec_peer.py distill FLASHVEC TEACHER_FOLDER [--rounds 3]
    venv/bin/python tests/peers/model2vec_peer.py distil_once TEACHER_FOLDER OUT
    venv/bin/python tests/peers/model2vec_peer.py rounds FOLDER TEXTS

embeddings: the largest difference between flashvec's embeddings of TEXTS (`flashvec encode FOLDER --input TEXTS
--output EMBEDDINGS.npy`) and model2vec's. cosines: the largest difference between the two folders' cosines of sentence
pairs. distill: wall time and memory of both distillations, in turn, whole processes. distil_once: one distillation, for
`cargo xtask bench-distill`; prints the seconds that it took without imports. rounds: for `cargo xtask
bench-peers`, which needs model2vec alone; says `ready`, then answers each line of standard input, `batch` or
`single`, with the seconds that one round over all texts took, in one call or one call a text.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"


def read_lines(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")


def embeddings(args):
    import numpy as np
    from model2vec import StaticModel

    ours = np.load(args.embeddings).astype(np.float64)
    theirs = StaticModel.from_pretrained(args.folder).encode(read_lines(args.texts)).astype(np.float64)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return {"texts": len(ours), "largest_difference": float(np.abs(ours - theirs).max())}


def cosines(args):
    import numpy as np
    from model2vec import StaticModel

    pairs = [line.split("\t")[1:] for line in read_lines(args.sts)[1:]]
    results = []
    for folder in (args.folder_a, args.folder_b):
        model = StaticModel.from_pretrained(folder)
        a, b = (model.encode([pair[side] for pair in pairs]).astype(np.float64) for side in (0, 1))
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        results.append(np.divide((a * b).sum(1), norms, out=np.zeros(len(a)), where=norms > 0))
    return {"pairs": len(pairs), "largest_difference": float(np.abs(results[0] - results[1]).max())}


def distill(args):
    python = (
        "import sys; from model2vec.distill import distill\n"
        "distill(model_name=sys.argv[1], pca_dims=256, device='cpu').save_pretrained(sys.argv[2])"
    )
    seconds = {"flashvec": [], "model2vec": []}
    memory = {"flashvec": 0, "model2vec": 0}
    for _ in range(args.rounds):
        for name in seconds:
            with tempfile.TemporaryDirectory() as scratch:
                out = os.path.join(scratch, "model")
                command = {
                    "flashvec": [args.flashvec, "distill", args.teacher, "-o", out],
                    "model2vec": [sys.executable, "-c", python, args.teacher, out],
                }[name]
                start = time.perf_counter()
                child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                _, status, usage = os.wait4(child.pid, 0)
                assert status == 0, command
                seconds[name].append(round(time.perf_counter() - start, 2))
                memory[name] = max(memory[name], usage.ru_maxrss // 1024)
    ratios = [ours / theirs for ours, theirs in zip(seconds["flashvec"], seconds["model2vec"])]
    return {"seconds": seconds, "peak_rss_mb": memory, "median_ratio": round(statistics.median(ratios), 3)}


def distil_once(args):
    from model2vec.distill import distill

    start = time.perf_counter()
    distill(model_name=args.teacher, pca_dims=256, device="cpu").save_pretrained(args.out)
    print(time.perf_counter() - start)


def rounds(args):
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(args.folder)
    texts = read_lines(args.texts)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        if line.strip() == "batch":
            model.encode(texts, use_multiprocessing=False)
        else:
            for text in texts:
                model.encode(text, use_multiprocessing=False)
        print(time.perf_counter() - start, flush=True)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
for function, names in [
    (embeddings, ["folder", "embeddings", "texts"]),
    (cosines, ["folder_a", "folder_b", "sts"]),
    (distill, ["flashvec", "teacher"]),
    (distil_once, ["teacher", "out"]),
    (rounds, ["folder", "texts"]),
]:
    command = commands.add_parser(function.__name__)
    command.set_defaults(function=function)
    for name in names:
        command.add_argument(name)
    if function is distill:
        command.add_argument("--rounds", type=int, default=3)
args = parser.parse_args()
report = args.function(args)
if report is not None:
    print(json.dumps(report))
