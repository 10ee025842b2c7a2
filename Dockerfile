# One image with every program in /app; a container's command says which one it runs. Builds with and without BuildKit.
FROM golang:1.26-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-trimpath

# Layers of their own for what seldom changes: the modules, and the slowest of them compiled.
COPY go.mod go.sum ./
RUN go mod download
RUN go build cloud.google.com/go/cloudsqlconn cloud.google.com/go/cloudtasks/apiv2 cloud.google.com/go/run/apiv2 github.com/jackc/pgx/v5/pgxpool

COPY . .
ARG VERSION=""
ARG COMMIT=""
RUN release=cloud-run-orchestrator/internal/release \
 && go build -ldflags "-s -w -X ${release}.version=${VERSION} -X ${release}.commit=${COMMIT}" -o /out/ \
      ./functions/server ./local/examples/primes ./local/orchestrator ./migrations/migrate

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /app/
COPY local/compose/jobs.yaml local/examples/primes.yaml /app/examples/
USER 65532:65532
ENTRYPOINT ["/app/server"]
