#!/bin/sh
# Makes the test media beside this file: two seconds of ffmpeg's test picture and tone in every codec and container that the
# package reads. Run by hand with ffmpeg 5.1 or newer; the results are kept, so tests need no ffmpeg.
set -eu
cd "$(dirname "$0")"
picture="-f lavfi -i testsrc2=size=160x120:rate=15:duration=2"
tone="-f lavfi -i sine=frequency=440:sample_rate=48000:duration=2"
quiet="-v error -y -bitexact -fflags +bitexact"
opus="-c:a libopus -b:a 24k -ac 1"
aac="-c:a aac -b:a 32k -ac 1"
avc="-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 15 -crf 36"
fragmented="-movflags +frag_keyframe+empty_moov+default_base_moof"

ffmpeg $quiet $picture $tone $avc -bf 2 $aac -shortest h264-bframes-aac.mp4
ffmpeg $quiet $picture $tone $avc -bf 0 $opus -shortest $fragmented h264-opus-fragmented.mp4
ffmpeg $quiet $picture $tone $avc -bf 2 $opus -shortest h264-bframes-opus.mkv
ffmpeg $quiet $picture $tone $avc -bf 0 $aac -shortest -f mpegts h264-aac.mpegts
ffmpeg $quiet $picture $tone -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=15:bframes=2 -crf 40 $aac -shortest -tag:v hvc1 hevc-bframes-aac.mp4
ffmpeg $quiet $picture -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=15:bframes=0:repeat-headers=1 -crf 40 -f mpegts hevc.mpegts
ffmpeg $quiet $picture $tone -c:v libvpx -b:v 60k -g 15 -deadline realtime -cpu-used 8 $opus -shortest vp8-opus.webm
ffmpeg $quiet $picture $tone -c:v libvpx-vp9 -b:v 60k -g 15 -deadline realtime -cpu-used 8 -row-mt 1 $opus -shortest vp9-opus.webm
ffmpeg $quiet $picture $tone -c:v libsvtav1 -preset 12 -crf 50 -g 15 $opus -shortest av1-opus.mp4
ffmpeg $quiet -i av1-opus.mp4 -c copy av1-opus.mkv
ffmpeg $quiet $tone $opus opus.ogg
ffmpeg $quiet $tone -c:a libmp3lame -b:a 32k tone.mp3
ffmpeg $quiet $picture $tone -c:v mpeg4 -b:v 60k $aac -shortest unsupported-video.mp4
ffmpeg $quiet $picture -c:v mpeg4 -b:v 60k unsupported.mp4
