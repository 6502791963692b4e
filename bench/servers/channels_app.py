"""Peer: Django Channels with its in-memory layer, served by daphne. A POST has one message a line."""
from urllib.parse import parse_qs

import django
from django.conf import settings

settings.configure(
    SECRET_KEY='bench',
    CHANNEL_LAYERS={
        'default': {
            'BACKEND': 'channels.layers.InMemoryChannelLayer',
            # The default of 100 drops the messages of a burst.
            'CONFIG': {'capacity': 100_000},
        }
    },
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402


class Subscriber(AsyncWebsocketConsumer):
    async def connect(self):
        for group in parse_qs(self.scope['query_string'].decode()).get('group', []):
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()

    async def bench(self, event):
        await self.send(text_data=event['text'])


async def publish(scope, receive, send):
    body = b''
    while True:
        event = await receive()
        body += event.get('body', b'')
        if not event.get('more_body'):
            break
    layer = get_channel_layer()
    for line in body.decode().split('\n'):
        await layer.group_send('g0', {'type': 'bench', 'text': line})
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'0')]})
    await send({'type': 'http.response.body', 'body': b''})


application = ProtocolTypeRouter({'http': publish, 'websocket': Subscriber.as_asgi()})
