import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from project.consumers import RoomConsumer

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter([path("ws/<str:group>/", RoomConsumer.as_asgi())]),
    }
)
