"""Media looked at by Pillow and ffmpeg, in processes of their own."""
