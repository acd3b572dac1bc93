"""One client's connection: uvicorn's protocol for HTTP/1.1, held to the limits of the server.

Begin with `protocol`. What the head of a request has to be is in `request_head`, how input of
many clients is parsed in turn in `read_queue` and `unread_input`.

What a request means does not belong here, see `aeros_serving.rest.api`.
"""
