# docker build -t netwatchd . && docker run --network=host --read-only --cap-drop=all netwatchd
#
# On the host's own network, since a container's is another: its resolver, its routes and its firewall are not those that the agent
# has. There is no agent in here; deploy/compose has netwatchd with Prometheus, Alertmanager and Grafana around it.
ARG GO_IMAGE=docker.io/library/golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d
FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY cmd cmd
COPY internal internal
ARG VERSION=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
  CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /out/netwatchd ./cmd/netwatchd
RUN mkdir -p /out/var/lib/netwatchd

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/netwatchd /usr/bin/netwatchd
COPY --from=build --chown=65534:65534 /out/var/lib/netwatchd /var/lib/netwatchd
USER 65534:65534
# All that is written goes to one place, so that the root may be read-only; the status file too, for whoever shares the volume.
ENV NETWATCHD_STORAGE_PATH=/var/lib/netwatchd NETWATCHD_STATUS_FILE=/var/lib/netwatchd/status.json
VOLUME /var/lib/netwatchd
EXPOSE 19405
# Whether the daemon is alive, not whether the service is: restarting netwatchd repairs no outage.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
  CMD ["/usr/bin/netwatchd", "probe", "http", "http://127.0.0.1:19405/-/healthy"]
ENTRYPOINT ["/usr/bin/netwatchd"]
CMD ["run"]
