from django.http import HttpResponse
from django.urls import path

from project import views

urlpatterns = [
    path("", lambda request: HttpResponse("ready")),
    path("notify/", views.notify),
    path("group-send/<str:group>/", views.group_send),
    path("group-send/<str:group>/<int:count>/", views.group_send_many),
    path("send/<str:channel>/", views.send),
    path("receive/<str:channel>/", views.receive),
]
