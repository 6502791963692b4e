import asyncio
import base64
import json

from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_POST


def notify(request):
    """The shortest view there is."""
    channel_layer = get_channel_layer()
    async_to_sync(channel_layer.group_send)(
        "room-name", {"type": "chat.message", "message": "Hello from Django"}
    )
    return HttpResponse(status=204)


@require_POST
def group_send(request, group):
    async_to_sync(get_channel_layer().group_send)(group, message_of(request))
    return HttpResponse(status=204)


@require_POST
def group_send_many(request, group, count):
    """As fast as one process can, on one event loop."""

    async def send():
        layer = get_channel_layer()
        for n in range(count):
            await layer.group_send(group, {"type": "chat.message", "n": n})

    async_to_sync(send)()
    return HttpResponse(status=204)


@require_POST
def send(request, channel):
    try:
        async_to_sync(get_channel_layer().send)(channel, message_of(request))
    except ChannelFull:
        return HttpResponse(status=503)
    return HttpResponse(status=204)


def receive(request, channel):
    """The next message of a channel, or 204 when none comes for a while."""

    async def one():
        return await asyncio.wait_for(get_channel_layer().receive(channel), 5)

    try:
        return JsonResponse(async_to_sync(one)())
    except asyncio.TimeoutError:
        return HttpResponse(status=204)


def message_of(request):
    """The body's JSON, in which {"$bytes": base64} stands for bytes."""
    return json.loads(request.body, object_hook=bytes_of)


def bytes_of(value):
    return base64.b64decode(value["$bytes"]) if set(value) == {"$bytes"} else value
