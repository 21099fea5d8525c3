# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""partita bench cost-model: what it reads, what it says of it, and published times."""

import csv
import random

import pytest
from helpers import tools

pytestmark = pytest.mark.usefixtures("compiler")

KERNELS = "gpu_type,precision,op,batch,m,n,k,time_us"
COLLECTIVES = "gpu_type,collective,n_gpus,n_nodes,size_bytes,time_us"
STEPS = (
    "model,params_b,layers,hidden,heads,seq,vocab,gpus,gpu_type,tp,pp,vpp,zero,"
    "micro_batch,global_batch,recompute,precision,step_time_s,source"
)


def write(path, header: str, *rows: str):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def bench(*files) -> dict:
    return tools.succeeds(tools.partita("bench", "cost-model", *files, "--format", "json")).json()


def test_kernels(scratch):
    path = write(
        scratch / "kernels.csv",
        KERNELS,
        # Azure's benchmarking guide and Eleuther AI's cookbook.
        "A100-SXM-80GB,fp16,gemm,1,8192,8192,8192,4333.9",
        "A100 (inferred),fp16,bmm,128,1024,1024,1024,1209.34",
        'H100-SXM-80GB,fp8,"gemm, f8",1,8192,8192,8192,852.269',
        "A100-SXM-80GB,fp16,residual_add,,4096,4096,,57",
        # What cannot be predicted.
        "A100-SXM-80GB,fp16,gemm,1,64,64,64,",
        "A100-SXM-80GB,fp16,stream,,4096,4096,,10",
        "A100-SXM-80GB,fp16,gemm,1,,64,64,10",
        "Abacus,fp16,gemm,1,64,64,64,10",
        "A100-SXM-80GB,fp17,gemm,1,64,64,64,10",
    )
    answer = bench(path)
    assert [row["line"] for row in answer["rows"]] == [2, 3, 4, 5]
    assert [row["kind"] for row in answer["rows"]] == ["gemm"] * 3 + ["residual_add"]
    assert [row["device"].split("-")[0] for row in answer["rows"]] == [
        "a100",
        "a100",
        "h100",
        "a100",
    ]
    assert answer["rows"][0]["measured_seconds"] == pytest.approx(4333.9e-6)
    for row in answer["rows"]:
        error = 100 * (row["predicted_seconds"] / row["measured_seconds"] - 1)
        assert row["error_percent"] == pytest.approx(error)
        assert abs(error) < 10 or row["kind"] != "gemm", row
    errors = [abs(row["error_percent"]) for row in answer["rows"]]
    assert answer["mean_absolute_error_percent"] == pytest.approx(sum(errors) / len(errors))
    assert sum(kind["rows"] for kind in answer["time"]["kinds"]) == 4
    assert answer["time"]["mean_absolute_error_percent"] == answer["mean_absolute_error_percent"]
    assert answer["memory"]["rows"] == 0
    reasons = {row["line"]: row["reason"] for row in answer["skipped"]}
    for line, word in (
        (6, "time"),
        (7, "stream"),
        (8, "shape"),
        (9, "Abacus"),
        (10, "fp17"),
    ):
        assert word in reasons[line]
    text = tools.succeeds(tools.partita("bench", "cost-model", path)).out
    for word in ("kernels.csv:4", "gemm, f8", "852 us", "mean absolute error"):
        assert word in text
    assert "kernels.csv:9: there is no preset of a device 'Abacus'" in text


def test_order_of_times(scratch):
    """1 if predicted and measured times have one order, -1 if the reverse, null if none."""
    sizes = [256 << i for i in range(6)]
    rows = [f"H100-SXM-80GB,bf16,gemm,1,{n},4096,4096," for n in sizes]

    def spearman(times):
        both = [row + str(time) for row, time in zip(rows, times, strict=True)]
        return bench(write(scratch / "t.csv", KERNELS, *both))["spearman"]

    assert spearman(sizes) == pytest.approx(1)
    assert spearman(sizes[::-1]) == pytest.approx(-1)
    assert spearman([7] * 6) is None
    assert 0.8 < spearman([1, 2, 3, 4, 6, 5]) < 1


def test_collectives(scratch):
    path = write(
        scratch / "collectives.csv",
        COLLECTIVES,
        # NVIDIA's dgxc-benchmarking, and S. Bekman's Machine Learning Engineering.
        "H100-SXM-80GB,all_reduce,8,1,1073741824,4016.4",
        "A100-SXM-80GB,all_reduce,8,1,1073741824,8203.9",
        "A100-SXM-80GB,all_reduce,64,8,1073741824,1",
        "A100-SXM-80GB,all_gather,8,1,1073741824,1",
        "A100-SXM-80GB,reduce_scatter,8,1,1073741824,1",
        "A100-SXM-80GB,all_to_all,8,1,1073741824,1",
        "A100-SXM-80GB,send_recv,2,1,1073741824,1",
        "A100-SXM-80GB,broadcast,2,1,1073741824,1",
        "A100-SXM-80GB,all_reduce,7,2,1073741824,1",
        "A100-SXM-80GB,all_reduce,,,1073741824,1",
        "A100-SXM-80GB,all_reduce,64,1,1073741824,1",
    )
    answer = bench(path)
    seconds = {(row["line"]): row["predicted_seconds"] for row in answer["rows"]}
    assert sorted(seconds) == [2, 3, 4, 5, 6, 7, 8]
    assert abs(answer["rows"][0]["error_percent"]) < 5
    assert abs(answer["rows"][1]["error_percent"]) < 5
    # Over the network it takes longer; an all-reduce is its two halves.
    assert seconds[4] > seconds[3]
    assert seconds[5] == seconds[6]
    assert seconds[5] + seconds[6] == pytest.approx(seconds[3], rel=0.05)
    assert [row["line"] for row in answer["skipped"]] == [9, 10, 11, 12]


#: Narayanan et al., arXiv:2104.04473, Table 1: micro-batch and chunks are not given.
PUBLISHED = [
    "gpt-7.5B,7.5,36,4096,32,2048,51200,128,A100-SXM-80GB,4,1,,0,,512,full,fp16,3.696,2104.04473",
    "gpt-39.1B,39.1,48,8192,64,2048,51200,512,A100-SXM-80GB,8,2,,0,,1536,full,fp16,14.453,2104.04473",
    "gpt-529.6B,529.6,105,20480,128,2048,51200,2520,A100-SXM-80GB,8,35,,0,,2520,full,fp16,49.0,2104.04473",
]


def test_training_steps(scratch):
    answer = bench(write(scratch / "steps.csv", STEPS, *PUBLISHED[:2]))
    for row in answer["rows"]:
        assert row["kind"] == "step of megatron-2021"
        assert "micro-batch (best)" in row["what"]
        assert abs(row["error_percent"]) < 12


@pytest.mark.parametrize(
    "changes, profile",
    [
        ({}, "megatron-2021"),
        ({"recompute": "selective"}, "megatron-2022"),
        ({"recompute": "none+sequence-parallel"}, "megatron-2022"),
        ({"zero": "3", "tp": "1", "pp": "1", "micro_batch": "1"}, "llm-foundry"),
        ({"gpu_type": "H100-SXM-80GB"}, "megatron-core"),
        ({"gpu_type": "H100-SXM-80GB", "precision": "fp8"}, "nemo"),
        (
            {"gpu_type": "H100-SXM-80GB", "source": "Megatron-DeepSpeed"},
            "megatron-deepspeed",
        ),
        ({"gpu_type": "H100-SXM-80GB", "source": "torchtitan"}, "torchtitan"),
    ],
)
def test_profiles(scratch, changes, profile):
    values = dict(zip(STEPS.split(","), PUBLISHED[1].split(","), strict=True))
    values |= {"source": ""} | changes
    answer = bench(write(scratch / "t.csv", STEPS, ",".join(values.values())))
    assert [row["kind"] for row in answer["rows"]] == [f"step of {profile}"]


def test_training_steps_answer_to_their_columns(scratch):
    """Each change has the sign that it must have."""

    def seconds(**changes):
        values = dict(zip(STEPS.split(","), PUBLISHED[1].split(","), strict=True))
        values |= {"micro_batch": "4", "vpp": "1"} | changes
        with (scratch / "t.csv").open("w") as file:
            writer = csv.DictWriter(file, STEPS.split(","))
            writer.writeheader()
            writer.writerow(values)
        answer = bench(scratch / "t.csv")
        assert len(answer["rows"]) == 1, answer
        return answer["rows"][0]["predicted_seconds"]

    usual = seconds()
    assert seconds(recompute="none") < 0.9 * usual
    assert seconds(global_batch="3072") == pytest.approx(2 * usual, rel=0.08)
    assert seconds(layers="96", pp="2") > 1.8 * usual
    assert seconds(seq="4096") > 2 * usual
    # Fewer and larger micro-batches leave a larger bubble.
    assert seconds(global_batch="128", micro_batch="4") > 1.2 * seconds(
        global_batch="128", micro_batch="1"
    )
    assert seconds(vpp="4", global_batch="128") < seconds(global_batch="128")
    # What is recomputed, and what is split over tensor ranks.
    paper = {"source": "arXiv:2205.05198"}
    selective = seconds(recompute="selective", **paper)
    assert seconds(recompute="none", **paper) < selective < seconds(recompute="full", **paper)
    assert seconds(recompute="selective+sequence-parallel", **paper) < selective
    # Sharded parameters are gathered for every micro-batch, forward and back.
    data = {"tp": "1", "pp": "1", "micro_batch": "1", "source": "llm-foundry"}
    assert seconds(zero="3", **data) > seconds(zero="2", **data)


def test_samples_in_one_sequence(scratch):
    """Finetuning packs short samples into sequences, which attend to themselves only."""
    row = PUBLISHED[0].replace("2104.04473", "{}").replace(",2048,", ",16384,", 1)
    rows = [row.format(note) for note in ("2104.04473", "2104.04473 finetune SFT")]
    long, packed = bench(write(scratch / "t.csv", STEPS, *rows))["rows"]
    assert packed["predicted_seconds"] < 0.8 * long["predicted_seconds"]


def test_order_of_ways_to_cut_a_step(scratch):
    """Rows of one model on as many devices with one batch are put in order by themselves."""
    row = "x,,24,1024,16,1024,51200,8,A100-SXM-80GB,{tp},{pp},1,0,1,32,none,fp16,{time},{source}"
    cuts = [(1, 1, 1.0), (2, 1, 2.0), (4, 1, 3.0), (8, 1, 4.0)]

    def workloads(source, order=1):
        rows = [row.format(tp=tp, pp=pp, time=time**order, source=source) for tp, pp, time in cuts]
        return bench(write(scratch / "t.csv", STEPS, *rows, PUBLISHED[0]))["workloads"]

    (workload,) = workloads("Megatron-DeepSpeed")
    assert workload["rows"] == 4 and workload["spearman"] == pytest.approx(1)
    assert "x in f16 on 8 a100" in workload["workload"]
    assert workloads("Megatron-DeepSpeed", -1)[0]["spearman"] == pytest.approx(-1)
    assert (
        "same model, devices and batch"
        in tools.partita("bench", "cost-model", scratch / "t.csv").out
    )


#: Korthikanti et al., arXiv:2205.05198, figures 1 and 7: gibibytes of one GPU, and activations
#: in percent of those of tensor parallelism alone. How many chunks is not given.
MEMORY = (
    "model,layers,hidden,heads,seq,tp,pp,gpus,micro_batch,recompute,params_opt_gib,"
    "activations_gib,activations_pct_of_tp_baseline,source"
)
PUBLISHED_MEMORY = [
    "22B,48,6144,64,2048,8,1,8,4,none,45.5625,59.25,,2205.05198",
    "22B,48,6144,64,2048,8,1,8,4,selective+sequence-parallel,45.5625,9.5625,,2205.05198",
    "175B,96,12288,96,2048,8,8,64,1,none,45.5625,66.8438,,2205.05198",
    "530B,105,20480,128,2048,8,35,280,1,selective+sequence-parallel,31.6406,23.0762,,2205.05198",
    "1T,128,25600,160,2048,8,64,512,1,none,32.959,131.25,,2205.05198",
    "22B,48,6144,64,2048,8,1,8,4,sequence-parallel,,,66.84,2205.05198",
    "175B,96,12288,96,2048,8,8,64,1,selective,,,56.53,2205.05198",
    "530B,105,20480,128,2048,8,35,280,1,full,,,9.42,2205.05198",
]


def test_memory_by_part(scratch):
    answer = bench(write(scratch / "memory.csv", MEMORY, *PUBLISHED_MEMORY))
    assert answer["memory"]["rows"] == len(PUBLISHED_MEMORY) == len(answer["rows"])
    assert answer["time"]["rows"] == 0
    assert answer["memory"]["mean_absolute_error_percent"] < 3
    assert answer["memory"]["spearman"] > 0.95
    for row in answer["rows"]:
        assert abs(row["memory_error_percent"]) < 6, row
        assert "predicted_seconds" not in row
    assert answer["rows"][0]["measured_bytes"] == pytest.approx((45.5625 + 59.25) * 2**30)
    assert "chunks (usual) 3" in answer["rows"][2]["what"]
    assert "chunks" not in answer["rows"][4]["what"]  # Two layers a stage: none divide.
    text = tools.succeeds(tools.partita("bench", "cost-model", scratch / "memory.csv")).out
    for word in ("predicted memory", "104.8 GiB", "memory of megatron-2022"):
        assert word in text
    assert "predicted time" not in text


def test_memory_of_steps(scratch):
    """Beside times, and each change has the sign that it must have."""

    def predicted(**changes):
        values = dict(zip(STEPS.split(","), PUBLISHED[1].split(","), strict=True))
        values |= {"micro_batch": "4", "vpp": "1", "mem_gb": "70", "cp": ""} | changes
        with (scratch / "t.csv").open("w") as file:
            writer = csv.DictWriter(file, [*STEPS.split(","), "mem_gb", "cp"])
            writer.writeheader()
            writer.writerow(values)
        answer = bench(scratch / "t.csv")
        (row,) = answer["rows"]
        assert answer["memory"]["rows"] == 1
        assert row["measured_bytes"] == 70e9
        return row["predicted_bytes"]

    usual = predicted()
    assert predicted(step_time_s="") == usual  # Memory alone is a measurement too.
    assert predicted(recompute="none") > 2 * usual
    assert predicted(recompute="none") > predicted(recompute="selective") > usual
    assert predicted(zero="1") < usual
    assert predicted(zero="3") < predicted(zero="2") < predicted(zero="1")
    assert predicted(micro_batch="1") < usual
    assert predicted(pp="4", gpus="1024") < usual
    assert predicted(recompute="none", vpp="3") > predicted(recompute="none")
    assert predicted(cp="2", gpus="1024") < usual
    assert predicted(recompute="full+sequence-parallel") < usual


@pytest.mark.parametrize(
    "row, reason",
    [
        ("x,,0,4096,32,2048,,8,A100-SXM-80GB,1,1,,0,1,8,,bf16,1,", "sizes of 'x'"),
        ("y,,,,32,,,8,A100-SXM-80GB,1,1,,0,1,8,,bf16,1,", "layers, hidden, seq"),
        ("x,,4,4096,32,2048,,8,,1,1,,0,1,8,,bf16,1,", "device ''"),
        ("x,,4,4096,32,2048,,8,A100-SXM-80GB,3,1,,0,1,8,,bf16,1,", "divide"),
        ("x,,4,4096,32,2048,,8,A100-SXM-80GB,1,1,,0,3,8,,bf16,1,", "divide"),
        ("x,,4,4096,32,2048,,8,A100-SXM-80GB,1e9,1e9,,0,1,8,,bf16,1,", "divide"),
        ("x,,4,4096,32,2048,,8,A100-SXM-80GB,1,1,,9,1,8,,bf16,1,", "divide"),
        ("x,,4,4096,32,2048,,1e7,A100-SXM-80GB,1,1,,0,1,1e7,,bf16,1,", ""),
        ("x,,4,4096,32,2048,,8,Abacus,1,1,,0,1,8,,bf16,1,", "Abacus"),
        ("x,,4,4096,32,2048,,8,A100-SXM-80GB,1,1,,0,1,8,,bf16,1,LoRA", "adapters"),
    ],
)
def test_steps_that_are_not_predicted(scratch, row, reason):
    good = PUBLISHED[0]
    answer = bench(write(scratch / "t.csv", STEPS, good, row))
    assert [entry["line"] for entry in answer["skipped"]] == [3]
    assert reason in answer["skipped"][0]["reason"]
    # Alone, there is nothing to say of the table.
    message = tools.fails(
        tools.partita("bench", "cost-model", write(scratch / "t.csv", STEPS, row)), 2
    )
    assert "t.csv:2" in message.text and reason in message.text


@pytest.mark.parametrize(
    "content, code, words",
    [
        ("", "csv.malformed", ["header"]),
        (KERNELS + "\nA,B\n", "csv.malformed", ["t.csv:2", "2 cells", "8 columns"]),
        (KERNELS + '\n\n"A\nB,C\n', "csv.malformed", ["t.csv:3", "quote"]),
        (KERNELS + ",m\n", "csv.malformed", ["t.csv:1", "'m'"]),
        (KERNELS + "\nA,B,C,1,x,1,1,1\n", "csv.number", ["t.csv:2", "'x'", "'m'"]),
        (KERNELS + "\nA,B,C,1,1,-1,1,1\n", "csv.number", ["t.csv:2", "'-1'"]),
        (KERNELS + "\nA,B,C,1,1,1,1e999,1\n", "csv.number", ["t.csv:2", "'k'"]),
        (KERNELS + "\nA,B,C,1,1,1,1,nan\n", "csv.number", ["t.csv:2", "nan"]),
        (
            MEMORY + "\nx,1,1,1,1,1,1,1,1,none,-3,1,,\n",
            "csv.number",
            ["t.csv:2", "'-3'"],
        ),
        (
            STEPS + "\n" + PUBLISHED[0] + "\n" + PUBLISHED[1].replace(",48,", ",many,", 1) + "\n",
            "csv.number",
            ["t.csv:3", "'many'", "'layers'"],
        ),
    ],
)
def test_malformed_tables(scratch, content, code, words):
    path = scratch / "t.csv"
    path.write_text(content)
    message = tools.fails(tools.partita("bench", "cost-model", path), 2)
    assert message.code == code
    for word in words:
        assert word in message.text


@pytest.mark.parametrize("seed", range(4))
def test_damaged_tables_never_crash(scratch, seed):
    """Some bytes of good tables are changed: they are read, or refused."""
    generator = random.Random(seed)
    good = [
        KERNELS + "\nA100-SXM-80GB,fp16,gemm,1,64,64,64,10\n",
        COLLECTIVES + "\nA100-SXM-80GB,all_reduce,8,1,1073741824,8203.9\n",
        "\n".join([STEPS, *PUBLISHED]) + "\n",
        "\n".join([MEMORY, *PUBLISHED_MEMORY]) + "\n",
    ]
    for content in good * 4:
        damaged = bytearray(content.encode())
        for _ in range(generator.choice([1, 4, 16])):
            damaged[generator.randrange(len(damaged))] = generator.choice(b'0123456789e.-,"\n\r\0x')
        path = scratch / "t.csv"
        path.write_bytes(damaged)
        done = tools.partita("bench", "cost-model", path)
        assert done.code in (0, 2, 3), f"{damaged!r}\n{done}"
        if done.code:
            tools.fails(done, done.code)


def test_tables_that_are_not_supported(scratch):
    path = write(scratch / "t.csv", "name,seconds", "a,1")
    message = tools.fails(tools.partita("bench", "cost-model", path), 3)
    assert message.code == "bench.columns"
    for word in (
        "kernels",
        KERNELS,
        "collectives",
        COLLECTIVES,
        "training steps",
        "memory of",
    ):
        assert word in message.hint
    path = write(scratch / "t.csv", KERNELS, "Abacus,fp16,gemm,1,64,64,64,10")
    message = tools.fails(tools.partita("bench", "cost-model", path), 2)
    assert message.code == "bench.no-rows" and "Abacus" in message.text
    tools.fails(tools.partita("bench", "cost-model", scratch / "none.csv"), 2)
    tools.fails(tools.partita("bench", "cost-model"), 1)
    tools.fails(tools.partita("bench"), 1)
