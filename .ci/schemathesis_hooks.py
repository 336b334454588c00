"""What schemathesis has to know beside the description of the API (.ci/api-fuzz): lines of JSON are sent as text."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
