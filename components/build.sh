#!/usr/bin/env bash
# Builds the five images with docker or podman, and prints what each adds to its base image.
#   components/build.sh [IMAGE...]      of: download feature-extraction training evaluation server
set -euo pipefail
cd "$(dirname "$0")/.."

base=python:3.11-slim-bookworm
version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' ser/version.py)
registry=${SER_IMAGE_REGISTRY:+${SER_IMAGE_REGISTRY%/}/}
images=("$@")
((${#images[@]})) || images=(download feature-extraction training evaluation server)

engine=${CONTAINER_ENGINE:-}
if [[ -z $engine ]]; then
  # A DOCKER_HOST that is podman's socket wants podman's own build: the steps must find the images where they look.
  if [[ ${DOCKER_HOST:-} != *podman* ]] && docker info &>/dev/null; then engine=docker; else engine=podman; fi
fi
command -v "$engine" >/dev/null || { echo "images: expected docker or podman, there is no $engine" >&2; exit 1; }
# Podman's own format has no health check.
[[ $engine == podman ]] && format=(--format docker) || format=()

size() { "$engine" image inspect --format '{{.Size}}' "$1"; }

for image in "${images[@]}"; do
  folder=components/${image//-/_}
  [[ $image == server ]] && folder=inference_server
  "$engine" build --quiet ${format[@]+"${format[@]}"} --tag "${registry}ser-$image:$version" --file "$folder/Dockerfile" . >/dev/null
done
base_size=$(size "$base")
printf '%-28s %6d MB\n' "$base" $((base_size / 1000000))
for image in "${images[@]}"; do
  name=${registry}ser-$image:$version
  printf '%-28s %6d MB more\n' "$name" $((($(size "$name") - base_size) / 1000000))
done
