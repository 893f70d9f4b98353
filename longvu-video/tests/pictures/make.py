"""Makes the pictures of this folder that neither the `ffmpeg` program nor the `image` crate writes. Needs Pillow."""

from pathlib import Path

from PIL import Image

here = Path(__file__).parent

# Three by two blocks of 16 pixels: red at the top left, grey elsewhere; in each of the ways a JPEG can be stored.
blocks = Image.new("RGB", (48, 32), (128, 128, 128))
blocks.paste((255, 0, 0), (0, 0, 16, 16))
blocks.putpixel((40, 20), (0, 255, 255))
blocks.save(here / "baseline.jpg", quality=90)
blocks.save(here / "progressive.jpg", quality=90, progressive=True)
blocks.save(here / "restarts.jpg", quality=90, subsampling=0, restart_marker_blocks=2)
blocks.convert("L").save(here / "gray.jpg", quality=90)

# Cyan, magenta, yellow and black inks of 200, 100, 50 and 25 of 255.
Image.new("CMYK", (16, 16), (200, 100, 50, 25)).save(here / "cmyk.jpg", quality=95)

# Two pictures that say they belong together; the first is the main one.
blocks.save(here / "pair.mpo", save_all=True, append_images=[Image.new("RGB", (48, 32), (0, 0, 255))])

# A red left half that is taken away again, then a blue right half; the canvas is transparent.
left, right = Image.new("RGBA", (16, 8)), Image.new("RGBA", (16, 8))
left.paste((255, 0, 0, 255), (0, 0, 8, 8))
right.paste((0, 0, 255, 255), (8, 0, 16, 8))
left.save(here / "disposed.webp", save_all=True, append_images=[right, left], duration=[300, 0, 700], lossless=True)
