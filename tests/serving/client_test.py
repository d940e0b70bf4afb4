"""Holds a model server against the stock client of TensorFlow Serving: every rpc and its errors, and REST by plain HTTP.

    python client_test.py MEGALITHCTL

The interpreter needs tensorflow-serving-api from PyPI, which brings TensorFlow along; run.sh sees to it."""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, inference_pb2
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc, regression_pb2, session_service_pb2

PROGRAM = """module @m {
  func.func public @main(%arg0: tensor<4x1xf32>) -> tensor<4x1xf32> {
    %0 = stablehlo.constant dense<5.000000e-01> : tensor<4x1xf32>
    %1 = stablehlo.constant dense<2.000000e+00> : tensor<4x1xf32>
    %2 = stablehlo.multiply %arg0, %0 : tensor<4x1xf32>
    %3 = stablehlo.add %2, %1 : tensor<4x1xf32>
    return %3 : tensor<4x1xf32>
  }
}
"""

SIGNATURE = """signature {{
  name: "{name}" method: {method} program: "model.mlir"
  input {{ name: "x" argument: 0 dtype: DT_FLOAT dim: "b" dim: "1" }}
  output {{ name: "{output}" argument: 0 dtype: DT_FLOAT dim: "b" dim: "1" }}
  {feature}
}}
"""
FEATURE = 'feature { key: "x" input: "x" length: 1 required: true }'
SIGNATURES = "format: 1\n" + "".join(
    SIGNATURE.format(name=name, method=method, output=output, feature=feature)
    for name, method, output, feature in [("serving_default", "PREDICT", "y", ""), ("regress", "REGRESS", "outputs", FEATURE),
                                          ("classify", "CLASSIFY", "scores", FEATURE)])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def example(x):
    return tf.train.Example(features=tf.train.Features(feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=[x]))}))


class StockClientTest(unittest.TestCase):
    megalithctl = ""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.base = pathlib.Path(cls.folder.name) / "half_plus_two"
        for version in ("1", "2"):
            (cls.base / version).mkdir(parents=True)
            (cls.base / version / "model.mlir").write_text(PROGRAM)
            (cls.base / version / "signatures.pbtxt").write_text(SIGNATURES)
        (pathlib.Path(cls.folder.name) / "batching").write_text("max_batch_size { value: 64 } allowed_batch_sizes: [4, 64]")
        cls.rest_port = free_port()
        cls.process = subprocess.Popen(
            [cls.megalithctl, "serve", "--model_name", "half_plus_two", f"--model_base_path={cls.base}", "--listen",
             "127.0.0.1:0", f"--rest_api_port={cls.rest_port}", "--enable_batching",
             f"--batching_parameters_file={cls.folder.name}/batching", "--json"], stdout=subprocess.PIPE, text=True)
        address = json.loads(cls.process.stdout.readline())["addresses"][0]
        cls.channel = grpc.insecure_channel(address)
        cls.predictions = prediction_service_pb2_grpc.PredictionServiceStub(cls.channel)
        cls.models = model_service_pb2_grpc.ModelServiceStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.process.terminate()
        cls.process.wait()
        cls.process.stdout.close()
        cls.folder.cleanup()

    def request(self, kind, signature="", name="half_plus_two"):
        request = kind()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        return request

    def predict(self, x, **spec):
        request = self.request(predict_pb2.PredictRequest, **spec)
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
        return self.predictions.Predict(request)

    def fails(self, code, text, call, request):
        with self.assertRaises(grpc.RpcError) as caught:
            call(request)
        self.assertEqual(caught.exception.code(), code)
        self.assertIn(text, caught.exception.details())

    def test_predict(self):
        for rows in (1, 3, 4, 9):
            x = np.arange(rows, dtype=np.float32).reshape(rows, 1)
            response = self.predict(x)
            np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), 0.5 * x + 2)
            self.assertEqual(response.model_spec.version.value, 2)
            self.assertEqual(response.model_spec.signature_name, "serving_default")

    def test_predict_from_many_threads(self):
        wrong = []

        def ask(k):
            x = np.full((1 + k % 3, 1), k, np.float32)
            if not np.array_equal(tf.make_ndarray(self.predict(x).outputs["y"]), 0.5 * x + 2):
                wrong.append(k)
        threads = [threading.Thread(target=ask, args=(k,)) for k in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_errors_of_predict(self):
        predict, kind = self.predictions.Predict, predict_pb2.PredictRequest
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec", predict, kind())
        self.fails(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(absent)", predict,
                   self.request(kind, name="absent"))
        self.fails(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "nope" not found.', predict,
                   self.request(kind, signature="nope"))
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "input size does not match signature: 0!=1", predict, self.request(kind))
        wrong_type = self.request(kind)
        wrong_type.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0]], tf.float64))
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "to be float but double is provided", predict, wrong_type)
        many = self.request(kind)
        many.inputs["x"].CopyFrom(tf.make_tensor_proto(np.zeros((65, 1), np.float32)))
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "Task size 65 is larger than maximum input batch size 64", predict, many)

    def test_regress_and_classify(self):
        regress = self.request(regression_pb2.RegressionRequest, "regress")
        classify = self.request(classification_pb2.ClassificationRequest, "classify")
        for request in (regress, classify):
            request.input.example_list.examples.extend([example(1), example(2)])
        values = [r.value for r in self.predictions.Regress(regress).result.regressions]
        self.assertEqual(values, [2.5, 3.0])
        classes = self.predictions.Classify(classify).result.classifications
        self.assertEqual([[c.score for c in one.classes] for one in classes], [[2.5], [3.0]])
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "Input is empty.", self.predictions.Regress,
                   self.request(regression_pb2.RegressionRequest, "regress"))

    def test_multi_inference(self):
        request = inference_pb2.MultiInferenceRequest()
        for signature in ("regress", "classify"):
            task = request.tasks.add(method_name=f"tensorflow/serving/{signature}")
            task.model_spec.name, task.model_spec.signature_name = "half_plus_two", signature
        request.input.example_list.examples.append(example(2))
        results = self.predictions.MultiInference(request).results
        self.assertEqual(results[0].regression_result.regressions[0].value, 3.0)
        self.assertEqual(results[1].classification_result.classifications[0].classes[0].score, 3.0)

    def test_metadata(self):
        request = self.request(get_model_metadata_pb2.GetModelMetadataRequest)
        request.metadata_field.append("signature_def")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        self.assertTrue(self.predictions.GetModelMetadata(request).metadata["signature_def"].Unpack(signatures))
        self.assertEqual(set(signatures.signature_def), {"serving_default", "regress", "classify"})
        x = signatures.signature_def["serving_default"].inputs["x"]
        self.assertEqual([d.size for d in x.tensor_shape.dim], [-1, 1])

    def test_status_and_reload(self):
        request = self.request(get_model_status_pb2.GetModelStatusRequest)
        states = [(v.version, v.state) for v in self.models.GetModelStatus(request).model_version_status]
        self.assertIn((2, get_model_status_pb2.ModelVersionStatus.AVAILABLE), states)
        reload = model_management_pb2.ReloadConfigRequest(metric_names=["/tensorflow/serving/request_count"])
        config = reload.config.model_config_list.config.add(
            name="half_plus_two", base_path=str(self.base), model_platform="tensorflow")
        config.version_labels["stable"] = 2
        response = self.models.HandleReloadConfigRequest(reload)
        self.assertEqual(response.status.error_code, 0)
        self.assertEqual(response.metric[0].name, "/tensorflow/serving/request_count")
        labelled = self.request(predict_pb2.PredictRequest)
        labelled.model_spec.version_label = "stable"
        labelled.inputs["x"].CopyFrom(tf.make_tensor_proto([[2.0]], tf.float32))
        self.assertEqual(self.predictions.Predict(labelled).model_spec.version.value, 2)
        config.version_labels["stable"] = 77
        self.fails(grpc.StatusCode.FAILED_PRECONDITION, "Request to assign label to version 77",
                   self.models.HandleReloadConfigRequest, reload)

    def test_sessions_are_not_served(self):
        run = self.channel.unary_unary("/tensorflow.serving.SessionService/SessionRun",
                                       session_service_pb2.SessionRunRequest.SerializeToString,
                                       session_service_pb2.SessionRunResponse.FromString)
        self.fails(grpc.StatusCode.UNIMPLEMENTED, "", run, session_service_pb2.SessionRunRequest())

    def rest(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}/v1/models/{path}", data) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def test_rest(self):
        self.assertEqual(self.rest("half_plus_two:predict", {"instances": [[1.0], [2.0]]}),
                         (200, {"predictions": [[2.5], [3.0]]}))
        self.assertEqual(self.rest("half_plus_two:predict", {"inputs": {"x": [[1.0]]}}), (200, {"outputs": [[2.5]]}))
        self.assertEqual(self.rest("half_plus_two:regress", {"signature_name": "regress", "examples": [{"x": 1.0}]}),
                         (200, {"results": [2.5]}))
        self.assertEqual(self.rest("half_plus_two")[1]["model_version_status"][0]["state"], "AVAILABLE")
        self.assertIn("serving_default", self.rest("half_plus_two/metadata")[1]["metadata"]["signature_def"]["signature_def"])
        self.assertEqual(self.rest("absent:predict", {"instances": [1]}),
                         (404, {"error": "Servable not found for request: Latest(absent)"}))


if __name__ == "__main__":
    StockClientTest.megalithctl = sys.argv.pop(1)
    unittest.main()
