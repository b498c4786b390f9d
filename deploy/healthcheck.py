"""Exit code 0 if the platform in this container is ready; the image has no curl, and needs none."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("UNBROKEN_PORT") or 8080), timeout=4)
try:
    connection.request("GET", "/health/ready")
    answered = connection.getresponse()
    told = answered.read()
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"The platform does not answer: {error}")
if answered.status != http.client.OK:
    sys.exit(told.decode(errors="replace"))
