"""A small Django project with Channels. What a test chooses comes by the environment."""

import json
import os

SECRET_KEY = "not secret"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["channels"]
MIDDLEWARE = []
DATABASES = {}
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
USE_TZ = True

BACKENDS = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": BACKENDS[os.environ["LAYER_PROTOCOL"]],
        "CONFIG": json.loads(os.environ["LAYER_CONFIG"]),
    }
}
