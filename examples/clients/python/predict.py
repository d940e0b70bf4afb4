"""Asks a served model for predictions over REST.

    python3 predict.py HOST:PORT
"""

import json
import sys
import urllib.error
import urllib.request

url = f"http://{sys.argv[1]}/v1/models/half_plus_two:predict"
body = json.dumps({"instances": [[1.0], [2.0], [5.0]]}).encode()
try:
    with urllib.request.urlopen(url, body, timeout=60) as answer:
        print("predictions:", *(row[0] for row in json.load(answer)["predictions"]))
except urllib.error.HTTPError as error:
    raise SystemExit(f"{error.code}: {json.load(error)['error']}")
