# BASE needs Python 3.11 or later, BUILDER the same Python with `venv`.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG BUILDER=${BASE}

FROM ${BUILDER} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/modelmend
COPY requirements/ requirements/
# A private index: `docker build --secret id=pip,src=pip.conf`.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /build/bin/pip install --quiet --no-compile --require-hashes --only-binary :all: -r requirements/build.lock \
 && /build/bin/pip --python /opt/modelmend/bin/python install --quiet --no-compile \
    --require-hashes --only-binary :all: -r requirements/runtime.lock
COPY . .
# Compiled here, as the root is read-only later; not the generated thousand modules of the client, of which we use none.
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /wheel . \
 && /build/bin/pip --python /opt/modelmend/bin/python install --quiet --no-compile --no-deps --no-index /wheel/*.whl \
 && python3 -m compileall -q -x 'kubernetes/(aio/)?client/(api|models)/' /opt/modelmend/lib

FROM ${BASE}
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/bin/pip*
COPY --from=build /opt/modelmend /opt/modelmend
ENV PATH=/opt/modelmend/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["modelmend"]
CMD ["serve"]
