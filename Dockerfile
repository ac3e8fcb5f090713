# docker build -t netwatchd . && docker run -p 127.0.0.1:19405:19405 netwatchd
#
# A container sees its own network and its own resolv.conf, not the host's, and has no agent: it can tell whether the service
# is up, but not what is wrong on the host. Run it with --network=host, or better as a service of the host.
ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm
FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /out/netwatchd ./cmd/netwatchd
RUN mkdir -p /out/var/lib/netwatchd /out/run/netwatchd

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/netwatchd /usr/bin/netwatchd
COPY --from=build --chown=65534:65534 /out/var/lib/netwatchd /var/lib/netwatchd
COPY --from=build --chown=65534:65534 /out/run/netwatchd /run/netwatchd
USER 65534:65534
# Inside a container loopback is nobody's but its own; what is published is up to whoever runs it.
ENV NETWATCHD_WEB_LISTEN_ADDRESS=:19405
EXPOSE 19405
VOLUME /var/lib/netwatchd
# Whether the daemon is alive, not whether the service is: restarting netwatchd repairs no outage.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
  CMD ["/usr/bin/netwatchd", "probe", "http", "http://127.0.0.1:19405/-/healthy"]
ENTRYPOINT ["/usr/bin/netwatchd"]
CMD ["run"]
