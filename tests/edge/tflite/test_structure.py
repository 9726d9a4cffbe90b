"""Damage is found before a runtime sees it; what is sound is let through, and quickly."""

import random
import struct
import subprocess
import sys
import time

import pytest

pytest.importorskip("edgebee", reason="the lone runner has no such check")
import classify

from edgebee.edge.tflite.flatbuffer import FlatbufferError, Table, read_root
from edgebee.edge.tflite.structure import check_structure, operator_name, parse

MUTANTS = 400
CPU_SECONDS = 0.05
"""For 3 MB; a Pi takes about five times as long."""


@pytest.fixture(scope="module")
def content(model):
    return model.read_bytes()


def field_at(table: Table, name: str) -> int:
    """Where in the file a field's number is, or the offset of a field that is no number."""
    place = table.place(table.fields[name])
    assert place, f"{table.name}.{name} is not stored"
    return place


def with_number(content: bytes, place: int, letter: str, value: float) -> bytes:
    changed = bytearray(content)
    struct.pack_into(f"<{letter}", changed, place, value)
    return bytes(changed)


def first_step(root: Table, name: str) -> Table:
    """The first operator whose settings are a table of that name."""
    steps = root["subgraphs"][0]["operators"]
    settings = ((step, step["builtin_options"]) for step in steps)
    return next(step for step, options in settings if options and options.name == name)


def test_the_model_that_ships_is_sound(content):
    check_structure(content)
    assert len(parse(content)["subgraphs"][0]["operators"]) > 60


def test_a_foreign_model_is_sound(foreign_model):
    check_structure(foreign_model.read_bytes())


def test_three_megabytes_are_looked_at_in_no_time(content):
    seconds = []
    for _ in range(7):  # the best: on a busy machine the clock counts others' work
        start = time.process_time()
        check_structure(content)
        seconds.append(time.process_time() - start)
    assert min(seconds) < CPU_SECONDS


def test_it_needs_the_standard_library_alone():
    code = (
        "import sys\n"
        "import edgebee.edge.tflite.schema, edgebee.edge.tflite.flatbuffer\n"
        "import edgebee.edge.tflite.structure\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'PIL'}))"
    )
    # The package's own __init__ loads the runner; a stand-in keeps it out.
    code = (
        "import importlib, sys, types, edgebee\n"
        "edge = types.ModuleType('edgebee.edge')\n"
        "edge.__path__ = [str(p) + '/edge' for p in edgebee.__path__]\n"
        "sys.modules['edgebee.edge'] = edge\n"
    ) + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------ damage of every kind


def cut(content, root):
    return content[: len(content) // 2]


def other_identifier(content, root):
    return content[:4] + b"TFL9" + content[8:]


def root_outside(content, root):
    return with_number(content, 0, "I", len(content) + 4)


def field_list_outside(content, root):
    return with_number(content, root.position, "i", -len(content))


def other_version(content, root):
    return with_number(content, field_at(root, "version"), "I", 4)


def endless_vector(content, root):
    start, _ = root.span("operator_codes")
    return with_number(content, start - 4, "I", 2**31)


def string_without_end(content, root):
    tensor = root["subgraphs"][0]["tensors"][0]
    start, length = tensor.span("name")
    return content[: start + length] + b"x" + content[start + length + 1 :]


def negative_size(content, root):
    start, _ = root["subgraphs"][0]["tensors"][0].span("shape")
    return with_number(content, start + 4, "i", -224)


def enormous_size(content, root):
    start, _ = root["subgraphs"][0]["tensors"][0].span("shape")
    return with_number(content, start + 4, "i", 2**30)


def unknown_type(content, root):
    return with_number(content, field_at(root["subgraphs"][0]["tensors"][0], "type"), "b", 99)


def no_such_buffer(content, root):
    return with_number(content, field_at(root["subgraphs"][0]["tensors"][3], "buffer"), "I", 9999)


def shorter_constant(content, root):
    buffers = root["buffers"]
    number = max(range(len(buffers)), key=lambda index: buffers[index].span("data")[1])
    start, length = buffers[number].span("data")
    return with_number(content, start - 4, "I", length - 16)


def no_such_tensor(content, root):
    start, _ = first_step(root, "Conv2DOptions").span("inputs")
    return with_number(content, start, "i", 5000)


def no_such_kind(content, root):
    step = root["subgraphs"][0]["operators"][5]
    return with_number(content, field_at(step, "opcode_index"), "I", 5000)


def writes_into_the_weights(content, root):
    step = first_step(root, "Conv2DOptions")
    start, _ = step.span("outputs")
    return with_number(content, start, "i", step["inputs"][1])


def scales_that_do_not_fit(content, root):
    step = first_step(root, "Conv2DOptions")
    weights = root["subgraphs"][0]["tensors"][step["inputs"][1]]
    start, count = weights["quantization"].span("scale")
    return with_number(content, start - 4, "I", count - 1)


def scale_left_out(content, root):
    # Both runtimes end the process over it.
    tensor = root["subgraphs"][0]["tensors"][first_step(root, "Conv2DOptions")["inputs"][0]]
    start, _ = tensor["quantization"].span("scale")
    return with_number(content, start - 4, "I", 0)


def zero_point_beyond_the_type(content, root):
    # LiteRT 2.3 looks it up in a table of 256 values.
    start, _ = root["subgraphs"][0]["tensors"][0]["quantization"].span("zero_point")
    return with_number(content, start, "q", 2**40)


def scale_that_is_no_number(content, root):
    start, _ = root["subgraphs"][0]["tensors"][0]["quantization"].span("scale")
    return with_number(content, start, "f", float("nan"))


def scale_beyond_the_kernels(content, root):
    # LiteRT 2.3 ends the process over it: XNNPACK refuses, and memory is freed twice.
    step = first_step(root, "Conv2DOptions")
    weights = root["subgraphs"][0]["tensors"][step["inputs"][1]]
    start, _ = weights["quantization"].span("scale")
    return with_number(content, start + 8, "f", 1e16)


def sum_beyond_the_kernels(content, root):
    codes = [operator_name(code) for code in root["operator_codes"]]
    steps = root["subgraphs"][0]["operators"]
    step = next(step for step in steps if codes[step["opcode_index"]] == "ADD")
    summand = root["subgraphs"][0]["tensors"][step["inputs"][0]]
    start, _ = summand["quantization"].span("scale")
    return with_number(content, start, "f", 1e-12)


def scale_below_nothing(content, root):
    start, _ = root["subgraphs"][0]["tensors"][0]["quantization"].span("scale")
    return with_number(content, start, "f", -1.0)


def stride_of_nothing(content, root):
    settings = first_step(root, "Conv2DOptions")["builtin_options"]
    return with_number(content, field_at(settings, "stride_w"), "i", 0)


def weights_left_out(content, root):
    start, _ = first_step(root, "Conv2DOptions").span("inputs")
    return with_number(content, start + 4, "i", -1)


def bias_left_out(content, root):
    start, _ = first_step(root, "DepthwiseConv2DOptions").span("inputs")
    return with_number(content, start - 4, "I", 2)


def settings_of_another_kind(content, root):
    step = first_step(root, "DepthwiseConv2DOptions")
    return with_number(content, field_at(step, "builtin_options_type"), "B", 9)


def metadata_nowhere(content, root):
    return with_number(content, field_at(root["metadata"][0], "buffer"), "I", 9999)


@pytest.mark.parametrize(
    "damage",
    [
        cut, root_outside, field_list_outside, other_version, endless_vector, string_without_end,
        negative_size, enormous_size, unknown_type, no_such_buffer, shorter_constant,
        no_such_tensor, no_such_kind, writes_into_the_weights, scales_that_do_not_fit,
        scale_left_out, zero_point_beyond_the_type,
        scale_that_is_no_number, scale_beyond_the_kernels, sum_beyond_the_kernels,
        scale_below_nothing, stride_of_nothing, weights_left_out,
        bias_left_out, settings_of_another_kind, metadata_nowhere,
    ],
)  # fmt: skip
def test_damage_is_refused_with_the_file_and_the_remedy(content, damage):
    damaged = damage(content, read_root(content))
    assert damaged != content
    with pytest.raises(classify.ModelError, match=r"^bee\.tflite: damaged \(.+\); copy it again$"):
        check_structure(damaged, "bee.tflite")


@pytest.mark.parametrize("junk", [b"", b"TFL3", b"PK\x03\x04" * 9, b"\0" * 100, b"a picture" * 50])
def test_what_is_no_model_is_called_that(junk):
    with pytest.raises(classify.ModelError, match="not a TFLite model; make one with"):
        check_structure(junk)


def test_another_identifier_is_no_model(content):
    with pytest.raises(classify.ModelError, match="not a TFLite model"):
        check_structure(other_identifier(content, None))


def test_a_file_cut_anywhere_is_refused(content):
    network = content.index(b"PK\x03\x04")  # the zip behind it does not matter here
    for length in range(16, network - 64, network // 100):
        with pytest.raises(FlatbufferError):
            parse(content[:length])


def test_many_ways_to_one_table_are_not_all_walked(content):
    # Offsets are four bytes: a small file could otherwise stand for a tree of any size.
    count, place = 300_000, len(content) + -len(content) % 4
    end = place + 4 + 4 * count
    table = struct.pack("<HHi", 4, 4, 4)  # an empty list of fields, then a table that has it
    offsets = (end + 4 - (place + 4 + 4 * index) for index in range(count))
    vector = struct.pack(f"<I{count}I", count, *offsets)
    vector_at = field_at(read_root(content), "operator_codes")
    longer = content.ljust(place, b"\0") + vector + table
    started = time.process_time()
    with pytest.raises(FlatbufferError, match="more than 100000 tables"):
        parse(with_number(longer, vector_at, "I", place - vector_at))
    assert time.process_time() - started < 5


# ------------------------------------------------------------------ mutants


def structural_bytes(content: bytes) -> list[int]:
    """Places outside the weights, where a change changes the structure."""
    weights = sorted(
        (start, start + length)
        for start, length in (buffer.span("data") for buffer in read_root(content)["buffers"])
        if length > 64
    )
    places, at = [], 0
    for start, end in weights:
        places += range(at, start)
        at = end
    return places


def mutants(content: bytes, count: int, seed: int):
    """Copies of a model with one to four places of its structure overwritten."""
    chance, places = random.Random(seed), structural_bytes(content)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(chance.choice([1, 1, 1, 2, 4])):
            place = chance.choice(places)
            if chance.random() < 0.7:
                changed[place] = chance.randrange(256)
            else:
                words = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", chance.randbytes(4)]
                changed[place - place % 4 : place - place % 4 + 4] = chance.choice(words)
        yield bytes(changed)


def test_no_mutant_is_more_than_refused(content):
    refused = 0
    for mutant in mutants(content, MUTANTS, seed=0):
        try:
            check_structure(mutant)
        except classify.ModelError:
            refused += 1
    # Nine in ten change what the structure says; the others a name, a colour, a padding.
    assert MUTANTS * 0.7 < refused < MUTANTS
