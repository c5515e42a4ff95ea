"""Media in a folder of this machine, behind signed requests to this server. Knows no service and no other adapter."""
