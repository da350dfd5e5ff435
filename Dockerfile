# The executable with the C library that it needs and nothing else: no shell, no package manager, not root.
#   make build && docker build -t blindference .
#   docker run -v blindference:/data -e BLF_KEY_PASSWORD_FILE=/run/secrets/password -v …:/run/secrets/password:ro blindference
FROM debian:12-slim AS base
ENV ROOT=/image
COPY dist/blindference /image/blindference
RUN <<'SCRIPT'
set -eu
# The libraries that the executable is linked with, at the places where it looks for them.
for library in $(ldd "$ROOT/blindference" | grep -o '/[^ ]*'); do
  cp --dereference --parents "$library" "$ROOT"
done
mkdir -p "$ROOT/etc"
echo 'blindference:x:65532:65532::/data:/nonexistent' > "$ROOT/etc/passwd"
echo 'blindference:x:65532:' > "$ROOT/etc/group"
echo 'hosts: files dns' > "$ROOT/etc/nsswitch.conf"
install -d -m 1777 "$ROOT/tmp"
install -d -m 0700 -o 65532 -g 65532 "$ROOT/data"
SCRIPT

FROM scratch
COPY --from=base /image /
COPY --from=base --chown=65532:65532 /image/data /data
USER 65532:65532
ENV HOME=/data BLF_CONFIG_DIR=/data
VOLUME /data
# The first SIGTERM lets the node finish its jobs: run it with --stop-timeout 310.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m CMD ["/blindference", "doctor", "--healthcheck"]
ENTRYPOINT ["/blindference"]
CMD ["run"]
