"""The models of `serving.py` as a runtime of MLServer; runs in an environment of its own."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Dense(MLModel):
    """Dense layers with ReLU between them, and softmax: numpy alone."""

    async def load(self):
        stored = np.load(self.settings.parameters.uri)
        self.layers = [
            (stored[f"layers.{2 * i}.weight"].T.copy(), stored[f"layers.{2 * i}.bias"])
            for i in range(len(stored.files) // 2)
        ]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        for index, (weight, bias) in enumerate(self.layers):
            x = x @ weight + bias
            if index < len(self.layers) - 1:
                x = np.maximum(x, 0)
        x = np.exp(x - x.max(1, keepdims=True))
        scores = x / x.sum(1, keepdims=True)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("scores", scores),
                NumpyCodec.encode_output("label", scores.argmax(1)),
            ],
        )
