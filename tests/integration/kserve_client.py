"""Ask a server with KServe's own clients; runs in an environment of its own, which has `kserve`.

    python kserve_client.py HTTP GRPC MODEL

The model takes x, FP32 [-1, 2], and multiplies it by 3, as y. Prints what the
clients return, as JSON.
"""

import asyncio
import json
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages

ROWS = np.array([[1, 2], [3, 4]], np.float32)


def request(model, binary):
    """Return a request for two rows, as JSON or as binary data."""
    tensor = InferInput("x", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[tensor], request_id="mine")


def returned(response):
    """Return what matters of an answer."""
    output = response.outputs[0]
    found = [response.id, response.model_name, output.name]  # the REST client drops the version
    return [*found, output.as_numpy().tolist()]


async def rest(address, model):
    """Return what the REST client gets."""
    base = f"http://{address}"
    found = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        found["live"] = await client.is_server_live(base)
        found["ready"] = await client.is_server_ready(base)
        found["model ready"] = await client.is_model_ready(base, model)
        found["no model ready"] = await client.is_model_ready(base, "none")
        for kind, binary in (("JSON", False), ("binary", True)):
            asked = request(model, binary)
            found[f"infer, {kind}"] = returned(await client.infer(base, asked, model))
        try:
            await client.infer(base, request("none", True), "none")
        except httpx.HTTPStatusError as error:
            found["error"] = [error.response.status_code, str(error).partition(",")[0]]
        metadata = await client._client.get(f"{base}/v2/models/{model}")
        found["metadata"] = metadata.json()["inputs"]
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        try:
            await client.infer(base, {"instances": ROWS.tolist()}, model)
        except httpx.HTTPStatusError as error:
            found["v1"] = [error.response.status_code, str(error).partition(",")[0]]
    return found


async def grpc_(address, model):
    """Return what the gRPC client gets."""
    found = {}
    async with InferenceGRPCClient(address) as client:
        found["live"] = await client.is_server_live()
        found["ready"] = await client.is_server_ready()
        found["model ready"] = await client.is_model_ready(model)
        found["no model ready"] = await client.is_model_ready("none")
        for kind, binary in (("typed", False), ("binary", True)):
            found[f"infer, {kind}"] = returned(await client.infer(request(model, binary)))
        try:
            await client.infer(request("none", True))
        except grpc.RpcError as error:
            found["error"] = [error.code().name, error.details()]
        metadata = await client._client_stub.ModelMetadata(
            messages.ModelMetadataRequest(name=model)
        )
        found["metadata"] = [[each.name, each.datatype] for each in metadata.inputs]
    return found


async def main(http, grpc_address, model):
    """Print what both clients get."""
    print(json.dumps([await rest(http, model), await grpc_(grpc_address, model)]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
