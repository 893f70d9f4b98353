#!/usr/bin/env bash
# Writes the seeds of corpus/: small valid files of every kind, from which the fuzzer goes on. What the fuzzer found is
# there beside them. Needs the `ffmpeg` program, and builds this one.
set -euo pipefail
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A video's first byte chooses how it is sampled (src/lib.rs).
clip() {
    local name=$1
    shift
    ffmpeg -v error -y -f lavfi -i testsrc2=size=48x32:rate=5:duration=1.2 "$@" -fflags +bitexact -flags +bitexact "$scratch/$name"
    { printf '\0'; cat "$scratch/$name"; } >"corpus/video/$name"
}
clip h264.mp4 -c:v libx264 -pix_fmt yuv420p -x264-params keyint=3:bframes=1
clip h264.ts -c:v libx264 -pix_fmt yuv420p -x264-params keyint=3:bframes=1
clip hevc.mkv -c:v libx265 -pix_fmt yuv420p -x265-params log-level=none:keyint=3
clip vp9.webm -c:v libvpx-vp9
clip vp8.webm -c:v libvpx
clip av1.mp4 -c:v libaom-av1 -cpu-used 8
clip mpeg2.mpg -c:v mpeg2video
clip mpeg4.avi -c:v mpeg4
clip mjpeg.mov -c:v mjpeg
clip raw.mjpeg -c:v mjpeg
clip wmv.wmv -c:v wmv2
clip flash.flv -c:v flv
clip animation.gif
clip prores.mov -c:v prores_ks -pix_fmt yuv422p10le
printf '\0#EXTM3U\n#EXTINF:1,\nother.ts\n' >corpus/video/playlist.m3u8
printf '\0ffconcat version 1.0\nfile other.mp4\n' >corpus/video/concat.mp4

picture() {
    ffmpeg -v error -y -f lavfi -i testsrc2=size=24x16:rate=2:duration=1.5 "${@:2}" -fflags +bitexact "corpus/image/$1"
}
picture rgb.png -frames:v 1
picture gray16.png -frames:v 1 -pix_fmt gray16be
picture palette.png -frames:v 1 -pix_fmt pal8
picture baseline.jpg -frames:v 1 -pix_fmt yuvj420p
picture lossy.webp -frames:v 1
picture animated.webp -loop 0
picture animated.apng -plays 0
picture animated.gif
picture true.bmp -frames:v 1
picture strips.tiff -frames:v 1

for name in longvu_qwen2_7b longvu_llama3_2_3b longvu_miniature; do
    cp "../configs/$name/config.json" "corpus/config/$name.json"
done
cp ../tests/golden/checkpoint/longvu_qwen/config.json corpus/config/golden_qwen.json
cp ../tests/golden/checkpoint/longvu_llama/config.json corpus/config/golden_llama.json

cat >corpus/chat_template/chatml.jinja <<'TEXT'
{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
TEXT
cat >corpus/chat_template/llama.jinja <<'TEXT'
{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- endif %}
{%- if strftime_now is defined %}{{ strftime_now("%d %b %Y") }}{% endif %}
{%- for message in messages %}{% generation %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}
TEXT
cat >corpus/chat_template/python.jinja <<'TEXT'
{%- macro line(x, width=4) %}{{ "%s: %d" % (x.role, x.content|length) }}{% endmacro %}
{%- set ns = namespace(n=0) %}
{%- for m in messages if m.role != 'system' %}{%- set ns.n = ns.n + 1 %}{{ line(m) }}{{ m | tojson(indent=2) }}{{ m.content.split('\n')[-1].strip().upper().removeprefix('WH') }}{% if loop.last %}{{ raise_exception('no') if ns.n > 9 }}{% endif %}{%- endfor %}
{{- "<|im_start|>assistant" ~ '\n' }}
TEXT

cp ../tests/golden/checkpoint/longvu_qwen/tokenizer.json corpus/tokenizer/golden_qwen.json
cp ../tests/golden/checkpoint/longvu_llama/tokenizer.json corpus/tokenizer/golden_llama.json
cargo run --quiet --manifest-path ../Cargo.toml -p longvu-cli -- encode ../tests/golden/videos/video3.mp4 --uniform 1 --quiet \
    --model ../tests/golden/checkpoint/longvu_qwen --out "$PWD/corpus/encoded/one.longvu"
cp ../longvu-core/tests/data/torch_state_dict.bin ../longvu-core/tests/data/torch_state_dict_legacy.bin corpus/pickle/

python3 - <<'PYTHON'
import json, struct

def safetensors(tensors, metadata=None):
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, dtype, shape, size in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(range(256)) * (offset // 256) + bytes(offset % 256)

with open("corpus/safetensors/two.safetensors", "wb") as file:
    file.write(safetensors([("a", "F32", [2, 3], 24), ("lm_head.weight", "BF16", [4, 4], 32)], {"format": "pt"}))
with open("corpus/safetensors/odd.safetensors", "wb") as file:
    file.write(safetensors([("weight", "I8", [0], 0), ("model.norm.weight", "F16", [], 2)]))

note = {"version": 1, "kind": "video", "dimensions": [48, 32], "max_len": 1024, "inference_max_length": 16, "image_token_len": 16,
        "lowres_token": 2, "highres": True, "dino_threshold": 0.83, "drop_threshold": 0.8, "dtype": "f32", "quantize": "none",
        "checkpoint": "none", "notes": {}, "written_by": "seeds.sh"}
with open("corpus/features/two.safetensors", "wb") as file:
    tensors = [("timestamps", "F64", [2], 16), ("indices", "I64", [2], 16), ("dinov2", "F32", [2, 16, 2], 256),
               ("siglip", "BF16", [2, 16, 1], 64), ("aggregated", "F16", [2, 16, 3], 192)]
    header = safetensors(tensors, {"longvu_features": json.dumps(note)})
    # Times and places that are some; the features are zeros.
    size = sum(tensor[3] for tensor in tensors)
    file.write(header[:-size] + struct.pack("<ddqq", 0.0, 1.5, 0, 30) + bytes(size - 32))

record = {"id": "a", "video": "video1.mp4", "conversations": [
    {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A ball."}]}
text = {"id": 7, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
with open("corpus/training_data/list.json", "w") as file:
    json.dump([record, text], file)
with open("corpus/training_data/lines.jsonl", "w") as file:
    file.write(json.dumps(record) + "\n" + json.dumps(text) + "\n")

options = {"sampling": {"fps": 1.0}, "start": None, "end": None, "max_frames": None, "autorotate": True, "decoding": "sparse"}
for name, sampling in [("fps", {"fps": 0.5}), ("every", {"every": 7}), ("uniform", {"uniform": 5}), ("timestamps", {"timestamps": [0.0, 2.5]})]:
    with open(f"corpus/sampling/{name}.json", "w") as file:
        json.dump({**options, "sampling": sampling, "start": 0.5, "max_frames": 3}, file)
generation = {"max_new_tokens": 16, "temperature": 0.7, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1, "seed": 3,
              "stop_strings": ["\n"], "eos_token_ids": [2]}
with open("corpus/sampling/generation.json", "w") as file:
    json.dump(generation, file)
with open("corpus/sampling/generation_config.json", "w") as file:
    json.dump({"do_sample": True, "eos_token_id": [2, 3], "temperature": 0.6}, file)
PYTHON
