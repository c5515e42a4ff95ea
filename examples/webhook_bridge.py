"""A webhook bridge: gets a bot's messages by signed requests, and answers through the API.

COOEE_TOKEN=… COOEE_WEBHOOK_SECRET=whsec_… python examples/webhook_bridge.py [SERVER [PORT]]

It keeps no connection and no store. A request that comes again gives the same answers, which the server stores once.
"""

import json
import os
import sys

from aiohttp import web

from cooee.client import Api, WebhookNotVerified, verify_webhook

SERVER = web.AppKey("server", str)


async def receive(request: web.Request) -> web.Response:
    """Look at the signature, then answer each message."""
    body = await request.read()
    try:
        verify_webhook(os.environ["COOEE_WEBHOOK_SECRET"], request.headers, body)
    except WebhookNotVerified:
        return web.Response(status=401)
    async with Api(request.app[SERVER], os.environ["COOEE_TOKEN"]) as api:
        for event in json.loads(body)["events"]:
            sender = await api.user(event["senderId"])
            if event["contentType"] == "text" and not sender.bot:  # two bridges would never end
                answer = f"{event['senderId']} said: {event['content']}"
                await api.send_text(event["conversationId"], answer, client_message_id=f"re.{event['messageId']}")
    return web.Response(status=204)


def main(server: str = "http://127.0.0.1:8080", port: str = "8090") -> None:
    """Listen on this machine; in production put TLS in front."""
    app = web.Application()
    app[SERVER] = server
    app.router.add_post("/", receive)
    web.run_app(app, host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
