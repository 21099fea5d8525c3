# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What planning costs: `partita bench planner` runs this.

Every plan is made by a process of its own, `partita plan`, so that seconds are
those that a user waits, reading the ONNX file included, and memory is what that
process had at most. The sections are

  models   zoo names and files, by topology and workload
  axes     the same model with two and with three axes: on a pinned mesh, searched
  layers   a decoder of growing depth on one machine
  devices  one decoder on growing machines
  random   a graph without equal parts
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field

from .compiler import find_partita
from .errors import USAGE, UserError, run_command

SECTIONS = ("models", "axes", "layers", "devices", "random")
#: What is planned where no model is named: (model, topology).
SUITE = (
    ("gpt3-175b", "dgx-h100x128"),
    ("gpt-1t", "dgx-h100x1024"),
    ("llama3-405b", "dgx-h100x2048"),
    ("mixtral-8x7b", "dgx-h100x8"),
    ("resnet-152", "dgx-h100"),
    ("t5-large", "dgx-h100"),
)
TRANSFORMERS = ("gpt3-175b", "gpt-1t", "llama3-405b", "mixtral-8x7b")
DEEPEST_TOPOLOGY = "dgx-h100x16"
#: For the random graph, where the issue is the choice and not the room.
NO_LIMIT = "1000TiB"


@dataclass
class Row:
    """A plan and what it took to make it."""

    section: str
    model: str
    topology: str
    workload: str
    #: What sets this row apart in its section: a mesh, a depth.
    case: str
    seconds: float
    peak_bytes: int
    exit_code: int
    step_seconds: float | None = None
    bound_seconds: float | None = None
    gap: float | None = None
    stopped_by: str | None = None
    mesh: dict[str, int] = field(default_factory=dict)
    error: str = ""


class Bench:
    """Makes models and plans in a folder, and keeps the rows."""

    def __init__(self, options: argparse.Namespace, folder: str):
        self.options = options
        self.folder = folder
        self.partita = str(find_partita(options.partita or ""))
        self.rows: list[Row] = []

    def exported(self, name: str) -> str:
        """A file as it is, or a model of the zoo at its size."""
        if os.path.exists(name):
            return name
        path = os.path.join(self.folder, f"{name}.onnx")
        if not os.path.exists(path):
            self.python(
                "zoo", "export", name, "--size", self.options.size, "--no-weights", "-o", path
            )
        return path

    def made(self, kind: str, **sizes: int) -> str:
        """A model of partita.planner_models."""
        name = "-".join([kind, *(str(size) for size in sizes.values())])
        path = os.path.join(self.folder, f"{name}.onnx")
        words = [word for key, size in sizes.items() for word in (f"--{key}", str(size))]
        self.python("planner_models", kind, *words, "-o", path)
        return path

    def python(self, module: str, *arguments: str) -> None:
        """Runs a module of this package. Its errors are ours."""
        command = [sys.executable, "-m", f"partita.{module}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(done.stderr.strip() or f"{module} failed", code=done.returncode)

    def plan(
        self, section: str, model: str, path: str, topology: str, *arguments: str, **row
    ) -> Row:
        """Makes one plan and notes what it took."""
        out = os.path.join(self.folder, "plan.json")
        command = [self.partita, "plan", path, "--topology", topology, *arguments, "-o", out]
        if self.options.time_limit is not None and "--mesh" not in arguments:
            command += ["--time-limit", str(self.options.time_limit)]
        errors = os.path.join(self.folder, "errors")
        begin = time.monotonic()
        with open(errors, "w", encoding="utf-8") as file:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        result = Row(
            section=section,
            model=os.path.basename(model),
            topology=topology,
            workload=row.get("workload", "prefill"),
            case=row.get("case", ""),
            seconds=time.monotonic() - begin,
            peak_bytes=usage.ru_maxrss * 1024,
            exit_code=process.returncode,
        )
        if process.returncode == 0:
            with open(out, encoding="utf-8") as file:
                plan = json.load(file)
            result.step_seconds = plan["predicted"]["step_seconds"]
            result.bound_seconds = plan["bound"]["step_seconds"]
            result.gap = plan["gap"]
            result.stopped_by = plan["stopped_by"]
            result.mesh = plan["mesh"]
        else:
            with open(errors, encoding="utf-8") as file:
                first = file.read().strip().partition("\n")[0]
            # A signal leaves no message.
            result.error = first or f"ended with {process.returncode}"
        self.rows.append(result)
        print(f"{section}: {result.model} {result.case} {result.seconds:.1f} s", file=sys.stderr)
        return result

    def workload(self, model: str, workload: str) -> list[str]:
        """The options of `partita plan` for a workload."""
        options = self.options
        if workload == "train":
            batch = str(options.global_batch)
            return ["--train", "adamw", "--global-batch", batch, "--precision", "bf16"]
        if model in TRANSFORMERS and options.size == "full":
            return ["--dim", f"batch={options.batch}", "--dim", f"sequence={options.sequence}"]
        return [word for dim in options.dim for word in ("--dim", dim)]

    def models(self) -> None:
        """Every model on every topology with every workload."""
        options = self.options
        named = bool(options.models)
        pairs = [(model, topology) for model in options.models for topology in options.topology]
        for model, topology in pairs if named else SUITE:
            for workload in options.workload:
                if workload == "train" and not named and model not in TRANSFORMERS:
                    continue
                arguments = self.workload(model, workload)
                self.plan(
                    "models", model, self.exported(model), topology, *arguments, workload=workload
                )

    def axes(self) -> None:
        """Two axes against three: each on one mesh, and searched for."""
        options = self.options
        model = options.models[0] if options.models else SUITE[0][0]
        topology = options.topology[0] if options.models else SUITE[0][1]
        path = self.exported(model)
        for workload in options.workload:
            arguments = self.workload(model, workload)
            common = {"workload": workload}
            for mesh in options.mesh:
                case = f"mesh {mesh}"
                pinned = ["--mesh", mesh]
                # One step of each, which is compared whether or not it has room.
                if workload == "train":
                    pinned += ["--micro-batches", "1", "--memory-limit", NO_LIMIT]
                self.plan("axes", model, path, topology, *arguments, *pinned, case=case, **common)
            for axes in (2, 3):
                case = f"up to {axes} axes"
                self.plan(
                    "axes",
                    model,
                    path,
                    topology,
                    *arguments,
                    "--axes",
                    str(axes),
                    case=case,
                    **common,
                )

    def grown(self, section: str, layers: int, topology: str, case: str) -> None:
        """A decoder on a machine."""
        path = self.made("gpt", layers=layers, **self.shape())
        batch = ["--dim", f"batch={self.options.batch}"]
        limit = ["--memory-limit", NO_LIMIT]
        self.plan(section, f"gpt-{layers}", path, topology, *batch, *limit, case=case)

    def shape(self) -> dict[str, int]:
        """Of decoders: GPT-3's, or something small."""
        if self.options.size == "full":
            return {"hidden": 12288, "heads": 96, "sequence": self.options.sequence}
        return {"hidden": 64, "heads": 4, "vocabulary": 128, "sequence": 16}

    def layers(self) -> None:
        """Growing depth."""
        for layers in self.options.layers:
            self.grown("layers", layers, self.options.growth_topology, str(layers))

    def devices(self) -> None:
        """Growing machines of eight devices each."""
        for devices in self.options.devices:
            if devices % 8:
                raise UserError(f"--devices {devices}: machines have eight", code=USAGE)
            topology = "dgx-h100" if devices == 8 else f"dgx-h100x{devices // 8}"
            self.grown("devices", self.options.growth_layers, topology, str(devices))

    def random(self) -> None:
        """Nothing repeats."""
        operations = self.options.operations
        path = self.made("random", operations=operations)
        sizes = ["--dim", f"batch={self.options.batch}", "--dim", "sequence=512"]
        limit = ["--memory-limit", NO_LIMIT]
        topology = self.options.growth_topology
        self.plan("random", f"random-{operations}", path, topology, *sizes, *limit)

    def ratios(self) -> list[dict]:
        """How much longer three axes take than two, and more than few."""
        ratios = []
        by_case = {(r.section, r.workload, r.case): r for r in self.rows if not r.exit_code}
        for workload in self.options.workload:
            pinned = [by_case.get(("axes", workload, f"mesh {mesh}")) for mesh in self.options.mesh]
            searched = [by_case.get(("axes", workload, f"up to {axes} axes")) for axes in (2, 3)]
            for what, pair in (("mesh", pinned), ("search", searched)):
                if len(pair) == 2 and all(pair):
                    ratio = pair[1].seconds / pair[0].seconds
                    ratios.append({"what": f"axes: {what}", "workload": workload, "ratio": ratio})
        for section in ("layers", "devices"):
            rows = [row for row in self.rows if row.section == section and not row.exit_code]
            if len(rows) > 1:
                what = f"{section}: {rows[-1].case} over {rows[0].case}"
                ratio = rows[-1].seconds / rows[0].seconds
                ratios.append({"what": what, "workload": "prefill", "ratio": ratio})
        return ratios


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"


def as_text(bench: Bench) -> str:
    """The rows as tables, one for each section."""
    header = ["model", "topology", "workload", "case", "time", "memory", "step", "bound", "gap %"]
    lines = []
    for section in SECTIONS:
        rows = [row for row in bench.rows if row.section == section]
        if not rows:
            continue
        table = [header]
        for row in rows:
            gap = "-" if row.gap is None else f"{100 * row.gap:.2f}"
            memory = f"{row.peak_bytes / 1e6:.0f} MB"
            what = [row.model, row.topology, row.workload, row.case, f"{row.seconds:.2f} s", memory]
            table.append([*what, _seconds(row.step_seconds), _seconds(row.bound_seconds), gap])
        widths = [max(len(line[i]) for line in table) for i in range(len(header))]
        lines.append(section)
        for line in table:
            cells = (cell.ljust(width) for cell, width in zip(line, widths))
            lines.append(("  " + "  ".join(cells)).rstrip())
        lines += [f"  {row.model} {row.case}: {row.error}" for row in rows if row.error]
    for ratio in bench.ratios():
        lines.append(f"{ratio['what']} ({ratio['workload']}): {ratio['ratio']:.2f} times")
    return "\n".join(lines)


def as_json(bench: Bench) -> str:
    """The same for programs."""
    rows = [asdict(row) for row in bench.rows]
    return json.dumps({"rows": rows, "ratios": bench.ratios()}, indent=2)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, as tools/partita/PlannerBench.cpp passes them on."""
    numbers = {"type": lambda text: [int(number) for number in text.split(",")]}
    words = {"type": lambda text: text.split(",")}
    parser = argparse.ArgumentParser(prog="partita bench planner", exit_on_error=False)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--partita")
    parser.add_argument("--sections", default=list(SECTIONS), **words)
    parser.add_argument("--topology", action="append")
    parser.add_argument("--workload", default=["prefill", "train"], **words)
    parser.add_argument("--dim", action="append", default=[])
    parser.add_argument("--mesh", action="append")
    parser.add_argument("--size", default="full")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--sequence", type=int, default=2048)
    parser.add_argument("--global-batch", type=int, default=1536)
    parser.add_argument("--layers", default=[8, 32, 128, 512, 1024], **numbers)
    parser.add_argument("--devices", default=[8, 64, 512, 4096, 65536], **numbers)
    parser.add_argument("--growth-layers", type=int, default=96)
    parser.add_argument("--growth-topology", default=DEEPEST_TOPOLOGY)
    parser.add_argument("--operations", type=int, default=10000)
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    try:
        options = parser.parse_args(arguments)
    except argparse.ArgumentError as error:
        raise UserError(str(error), code=USAGE) from None
    options.topology = options.topology or [SUITE[0][1]]
    options.mesh = options.mesh or ["x=8,y=128", "x=8,y=16,z=8"]
    for given, known in ((options.sections, SECTIONS), (options.workload, ("prefill", "train"))):
        for word in given:
            if word not in known:
                raise UserError(f"'{word}' is none of {', '.join(known)}", code=USAGE)
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command line."""

    def body() -> None:
        options = parsed(arguments)
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(options, folder)
            for section in options.sections:
                getattr(bench, section)()
            print(as_json(bench) if options.format == "json" else as_text(bench))

    return run_command("partita bench planner", body)


if __name__ == "__main__":
    sys.exit(main())
