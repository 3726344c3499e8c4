"""What the end-to-end tests ask of Python.

    tensors.py tune KIND ORIGINAL TARGET    makes a tune of a model folder
    tensors.py cost ORIGINAL TUNE           prints what the tune changed, as JSON
    tensors.py compare EXPECTED ACTUAL      prints how many tensors are equal; fails if one is not

Files are read and written by the safetensors library. The chunk rules are those of docs/format.md,
written down a second time from that page.
"""

import hashlib
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

LARGEST_CHUNK = 1 << 25
SMALLEST_CONTENT_CHUNK = 1 << 24
METADATA = {"format": "pt"}
PREFIX = "bert."


# Tunes: each takes the tensors of the original and returns {file name: (tensors, metadata)}.


def changed(tensors, choose):
    random = np.random.default_rng(7)
    out = {}
    for name, tensor in tensors.items():
        pick = choose(name) and tensor.dtype.kind == "f"
        out[name] = tensor + random.normal(0, 1e-3, tensor.shape).astype(tensor.dtype) if pick else tensor
    return out


def single(tensors, metadata=METADATA):
    return {"model.safetensors": (tensors, metadata)}


def sharded(tensors, names):
    """Shards at these names, in the order of `names`, with the index that transformers writes."""
    third = len(names) // 3
    parts = [names[:third], names[third : 2 * third], names[2 * third :]]
    files = [f"model-{at + 1:05}-of-00003.safetensors" for at in range(3)]
    weight_map = {name: file for file, part in zip(files, parts) for name in part}
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    out = {file: ({name: tensors[name] for name in part}, METADATA) for file, part in zip(files, parts)}
    return {**out, "model.safetensors.index.json": json.dumps(index, indent=2)}


FEW = {
    "encoder.layer.1.output.dense.weight",
    "encoder.layer.1.output.dense.bias",
    "encoder.layer.4.attention.self.key.bias",
}


def one_small_tensor(tensors):
    return single(changed(tensors, lambda name: name == "encoder.layer.2.output.LayerNorm.bias"))


def one_big_tensor(tensors):
    return single(changed(tensors, lambda name: name == "embeddings.word_embeddings.weight"))


def few_layers(tensors):
    return single(changed(tensors, lambda name: name.startswith("encoder.layer.3.")))


def one_kind(tensors):
    return single(changed(tensors, lambda name: name.endswith("attention.self.query.weight")))


def metadata_only(tensors):
    return single(tensors, {**METADATA, "note": "the same tensors, said differently"})


def appended(tensors):
    random = np.random.default_rng(8)
    weight = random.normal(0, 1, (5, 384)).astype(np.float32)
    return single({**tensors, "classifier.weight": weight, "classifier.bias": weight[:, 0].copy()})


def renamed_file(tensors):
    return {"weights.safetensors": (tensors, METADATA)}


def resharded(tensors):
    out = changed(tensors, lambda name: name in FEW)
    return sharded(out, sorted(out))


def resharded_and_prefixed(tensors):
    out = changed(tensors, lambda name: name in FEW)
    out = {PREFIX + name: tensor for name, tensor in out.items()}
    return sharded(out, sorted(out))


def everything(tensors):
    return single(changed(tensors, lambda name: True))


def tune(kind, original, target):
    shutil.copytree(original, target)
    weights = target / "model.safetensors"
    files = globals()[kind](load_file(weights))
    weights.unlink()
    for name, content in files.items():
        if isinstance(content, str):
            (target / name).write_text(content)
        else:
            tensors, metadata = content
            save_file(tensors, target / name, metadata)


# What changed.


def header_of(path):
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    tensors = [(*entry["data_offsets"], name, entry) for name, entry in header.items()]
    return 8 + length, sorted(tensors, key=lambda each: each[:3])


def sha(data):
    return hashlib.sha256(data).hexdigest()


def ends_group(name, dtype, shape, size):
    text = "\0".join([".".join(name.split(".")[-2:]), dtype, ",".join(map(str, shape))])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") < size << 27


def chunks_of(path):
    """(digest, size) of each chunk, by the sections "safetensors" and "Tensors" of docs/format.md."""
    data = path.read_bytes()
    if path.suffix != ".safetensors":
        # So that no content rule is needed here.
        assert len(data) <= SMALLEST_CONTENT_CHUNK
        return [(sha(data), len(data))] if data else []
    start, tensors = header_of(path)
    bounds = [*range(0, start, LARGEST_CHUNK), start]
    for begin, end, name, entry in tensors:
        size = end - begin
        if size > LARGEST_CHUNK:
            bounds += [start + begin, *range(start + begin, start + end, LARGEST_CHUNK), start + end]
            continue
        if start + end - bounds[-1] > LARGEST_CHUNK:
            bounds.append(start + begin)
        if size > 0 and ends_group(name, entry["dtype"], entry["shape"], size):
            bounds.append(start + end)
    bounds = sorted({*bounds, len(data)})
    return [(sha(data[a:b]), b - a) for a, b in zip(bounds, bounds[1:])]


def plain_name(name):
    return name.removeprefix(PREFIX)


def describe(folder):
    """Tensors in file order, contents of headers and other files, chunks."""
    tensors, others, chunks = [], {}, {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        chunks.update(chunks_of(path))
        data = path.read_bytes()
        if path.suffix != ".safetensors":
            others[sha(data)] = len(data)
            continue
        start, entries = header_of(path)
        others[sha(data[:start])] = start
        shard = [
            (plain_name(name), entry["dtype"], tuple(entry["shape"]), sha(data[start + a : start + b]), b - a)
            for a, b, name, entry in entries
        ]
        tensors.append(shard)
    return tensors, others, chunks


def cost(original, tuned):
    shards_before, others_before, chunks_before = describe(original)
    shards, others, chunks = describe(tuned)
    known = {tensor for shard in shards_before for tensor in shard}
    firsts = {shard[0][0] for shard in shards_before}
    flags = [[tensor not in known for tensor in shard] for shard in shards]
    runs = sum(now and not before for shard in flags for before, now in zip([False, *shard], shard))
    changed_tensors = {tensor: tensor[4] for shard in shards for tensor in shard if tensor not in known}
    changed_others = {digest: size for digest, size in others.items() if digest not in others_before}
    return {
        "total": sum(path.stat().st_size for path in tuned.rglob("*") if path.is_file()),
        "changed": sum(changed_tensors.values()) + sum(changed_others.values()),
        "runs": runs,
        "edges": sum(shard[0][0] not in firsts for shard in shards[1:]),
        "fresh": sum(size for digest, size in chunks.items() if digest not in chunks_before),
    }


def compare(expected, actual):
    names = sorted(path.relative_to(expected) for path in expected.rglob("*.safetensors"))
    found = sorted(path.relative_to(actual) for path in actual.rglob("*.safetensors"))
    assert names and names == found, f"{names} are not {found}"
    count = 0
    for name in names:
        want, have = load_file(expected / name), load_file(actual / name)
        assert want.keys() == have.keys(), f"{name}: other tensors"
        for key, tensor in want.items():
            other = have[key]
            assert tensor.dtype == other.dtype and tensor.shape == other.shape, f"{name}: {key}"
            assert np.array_equal(tensor, other), f"{name}: {key} has other values"
            count += 1
    return count


def main(command, *args):
    if command == "tune":
        tune(args[0], Path(args[1]), Path(args[2]))
    elif command == "cost":
        print(json.dumps(cost(*map(Path, args))))
    elif command == "compare":
        print(compare(*map(Path, args)))
    else:
        sys.exit(f"unknown command {command}")


main(*sys.argv[1:])
