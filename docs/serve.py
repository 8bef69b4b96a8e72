"""Label images over HTTP; docs/serving.md has the commands."""

import io
import os
from asyncio import Semaphore
from typing import Literal

import numpy as np
from anyio import CapacityLimiter, fail_after, to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(4096 * 4096))
from infer_onnx import InputError, Labeler, decode, palette_image

app = FastAPI(title='Labels of images')
if 'MODEL' not in os.environ:
    raise SystemExit('error: MODEL is not set: start with MODEL=model.onnx.')
try:
    labeler = Labeler(os.environ['MODEL'])
except InputError as error:
    raise SystemExit(f'error: {error}') from None
network = CapacityLimiter(1)  # images at once; each takes all cores
places = Semaphore(8)  # requests that are received, wait or run
LARGEST = 20_000_000  # bytes of an image


@app.post('/labels')
async def label(request: Request, format: Literal['png', 'json'] = 'png') -> Response:
    """Give the labels of an image, the body, or the share of each class."""
    if places.locked():
        raise HTTPException(503, 'too many images wait: send this again in a second.')
    async with places:
        body = bytearray()
        try:
            with fail_after(30):
                async for part in request.stream():
                    body += part
                    if len(body) > LARGEST:
                        raise HTTPException(413, f'send at most {LARGEST} bytes.')
        except (ClientDisconnect, TimeoutError) as error:
            raise HTTPException(408, 'the image did not come within 30 s.') from error
        return await to_thread.run_sync(answer, body, format, limiter=network)


def answer(body: bytearray, format: str) -> Response:
    try:
        labels = labeler(decode(body)[..., ::-1])
    except InputError as error:
        raise HTTPException(422, f'the image cannot be labelled: {error}') from error
    if format == 'json':
        shares = np.bincount(labels.ravel()) / labels.size
        return JSONResponse(
            {labeler.classes[i]: shares[i] for i in shares.nonzero()[0]}
        )
    content = io.BytesIO()
    palette_image(labels, labeler.palette).save(content, 'png')
    return Response(content.getvalue(), media_type='image/png')
