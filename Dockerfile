# scanssc_ros on ROS 2 from apt.
#   docker build -t scanssc .                                   for a CPU
#   docker build -t scanssc --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .    for CUDA
#   docker run --rm --net host --shm-size 512m [--gpus all] scanssc \
#       ros2 launch scanssc_ros scanssc.launch.py camera:=zed
# Images of 1.4 MB pass through shared memory, of which a container has 64 MiB unless it is given more.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
WORKDIR /ws

# What changes seldom comes first: keys of rosdep, then what has no (or too old a) key. RViz stays on the desk.
COPY package.xml src/scanssc_ros/
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src -y --skip-keys rviz2 \
    && rm -rf /var/lib/apt/lists/*

# The system's Python belongs to apt (PEP 668): pip's packages lie in an environment that sees those of the system.
# cv_bridge of Humble to Kilted was built for NumPy 1; OpenCV 4.12 asks for NumPy 2.
RUN python3 -m venv --system-site-packages /opt/scanssc \
    && /opt/scanssc/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" 'torch>=2.4' \
    && /opt/scanssc/bin/pip install --no-cache-dir 'numpy>=1.26,<2 ; python_version < "3.14"' \
        'opencv-python-headless>=4.8.0.76,<4.12' 'pillow>=10' 'safetensors>=0.4' 'typer>=0.19' 'rich>=13' \
        'rosbags>=0.11.9' 'matplotlib>=3.8'
ENV PATH=/opt/scanssc/bin:$PATH

COPY . src/scanssc_ros
# The installed programs start with `#!/usr/bin/env python3`: the environment's, by PATH.
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" \
    && colcon build --packages-select scanssc_ros --cmake-args -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF

RUN printf '%s\n' '#!/bin/bash' 'source /ws/install/setup.bash' 'exec "$@"' > /entrypoint.sh && chmod +x /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "scanssc_ros", "scanssc.launch.py"]
