"""Push platforms: Web Push, FCM, APNs. A file that is named after one fills `ports.push_sender` for it."""
