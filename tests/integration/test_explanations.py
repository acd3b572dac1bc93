"""Explanations of what was trained, of an image and of a table with categories, over the wire."""

import numpy as np
import pytest

triton_http = pytest.importorskip("tritonclient.http")
triton_grpc = pytest.importorskip("tritonclient.grpc")
pytest.importorskip("captum")

ASKED = {"explain": "integrated_gradients", "explain_steps": 300}
TABLE = [
    "experiment=null", "task.name=wear", "transformer=[table,iid,standardise,one_hot,stack]",
    "transformer.table.path=wear.csv", "transformer.table.label=wear", "trainer/model=mlp",
    "transformer.standardise.fields=[speed,heat,wear]", "trainer.lr=0.05", "task.rounds=6",
]  # fmt: skip


def table(folder):
    """Write a table whose target hangs on a tool and its speed, and not on the heat."""
    rng = np.random.default_rng(0)
    tool = rng.choice(["drill", "mill", "saw"], 400)
    speed, heat = rng.uniform(10, 90, 400), rng.uniform(0, 1, 400)
    wear = 3 * speed + 50 * (tool == "saw") + rng.normal(0, 1, 400)
    rows = zip(tool, speed, heat, wear, strict=True)
    lines = ["tool,speed,heat,wear", *(f"{t},{s:.3f},{h:.3f},{w:.3f}" for t, s, h, w in rows)]
    (folder / "wear.csv").write_text("\n".join(lines) + "\n")


def told(triton, address, model, batch, **more):
    """Return all outputs of a request, by name."""
    with triton.InferenceServerClient(address) as client:
        asked = []
        for name, column in batch.items():
            kind = "BYTES" if column.dtype.kind == "O" else "FP32"
            one = triton.InferInput(name, list(column.shape), kind)
            one.set_data_from_numpy(column)
            asked.append(one)
        answer = client.infer(model, asked, parameters=ASKED | more)
        shown = answer.get_response()
        outputs = shown["outputs"] if isinstance(shown, dict) else shown.outputs
        names = [o["name"] if isinstance(o, dict) else o.name for o in outputs]
        return {name: answer.as_numpy(name) for name in names}


def added(answer):
    """Return what the shares of a row and the score at the baseline add up to."""
    parts = [c.reshape(len(c), -1).sum(1) for n, c in answer.items() if n.endswith(".attribution")]
    return np.sum(parts, axis=0)


def test_shares_add_up_in_the_fields_and_units_of_the_request(aeros, serve, raw_test):
    table(aeros.folder)
    aeros("run", *TABLE)
    aeros("run", "task.rounds=3")
    server = serve("model=wear", "model=digits")

    batch = {
        "tool": np.array([b"saw", b"mill", b"drill"], dtype=object),
        "speed": np.array([80, 20, 50], np.float32),
        "heat": np.array([0.9, 0.1, 0.5], np.float32),
    }
    answer = told(triton_grpc, server.grpc, "wear", batch)
    assert {f"{name}.attribution" for name in batch} < set(answer)
    assert all(answer[f"{name}.attribution"].shape == (3,) for name in batch)
    np.testing.assert_allclose(added(answer), answer["scores"], rtol=0.01)  # in units of wear
    speed, tool = answer["speed.attribution"], answer["tool.attribution"]
    assert speed[0] > 40
    assert speed[1] < -40  # from the mean of about 50 on, three each
    assert np.abs(answer["heat.attribution"]).max() < 20
    assert tool[0] > max(tool[1:])

    image = raw_test("experiment=digits")["image"][:4].astype(np.float32)
    for more, column in (({}, None), ({"explain_target": "3", "explain_baseline": 0}, 3)):
        answer = told(triton_http, server.http, "digits", {"image": image}, **more)
        assert answer["image.attribution"].shape == image.shape
        place = answer["label"] if column is None else np.full(4, column)
        score = np.take_along_axis(answer["scores"], place[:, None], 1)[:, 0]
        np.testing.assert_allclose(added(answer), score, atol=0.01)
    black = image == 0
    assert (answer["image.attribution"][black] == 0).all()  # as at the baseline
    code, said = server.end()
    assert code == 0, said
    assert "Traceback" not in said
