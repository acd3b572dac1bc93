"""Java's own HTTP client, which offers HTTP/2 with its first request, gets answers."""

import re
import shutil
import subprocess

import pytest

SOURCE = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Ask {
    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create(words[0]))
            .POST(HttpRequest.BodyPublishers.ofString(words[1])).build();
        for (int i = 0; i < 3; i++) {
            HttpResponse<String> answer =
                client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body());
        }
    }
}
"""
BODY = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}'


@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
def test_its_requests_keep_their_bodies(running, tmp_path):
    file = tmp_path / "Ask.java"
    file.write_text(SOURCE)
    url = f"http://127.0.0.1:{running().http}/v2/models/toy/infer"
    asking = ["java", str(file), url, BODY]
    done = subprocess.run(asking, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode and re.search("compiler|source", done.stderr):
        pytest.skip("this java runs no source file")
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert [answer.partition(" ")[0] for answer in answers] == ["200"] * 3
    assert all('"data":[2.0,4.0,6.0]' in answer for answer in answers)
