
// The names scene, camera, controls, renderer, tracklight, init and render are trimesh's.
"use strict";

const ambient = new THREE.HemisphereLight(0xffffff, 0xb0a8a0, 1);
const key = new THREE.DirectionalLight(0xffffff, 1);
const looks = {
  photo: { ambient: 0.75, key: 0.25, front: 0.2 },
  clay: { ambient: 0.25, key: 0.75, front: 0.15 },
  mesh: { ambient: 0.6, key: 0.3, front: 0.3 },
};
const center = new THREE.Vector3();
let distance = 1;

function tell(text) {
  document.getElementById("message").textContent = text;
}

function showFace(name, glb) {
  document.title = name;
  window.glb = glb;
  try {
    init();
  } catch (error) {
    tell("The face cannot be drawn: this browser has WebGL switched off.");
  }
}

function frameFace(head) {
  const box = new THREE.Box3().setFromObject(head);
  const size = box.getSize(new THREE.Vector3());
  box.getCenter(center);
  const aspect = innerWidth / innerHeight;
  const view = new THREE.PerspectiveCamera(25, aspect, size.length() / 100, size.length() * 100);
  const half = Math.max(size.y, Math.hypot(size.x, size.z) / aspect) / 2;
  distance = (1.15 * half) / Math.tan((view.fov / 2) * (Math.PI / 180)) + size.z / 2;
  view.position.set(center.x, center.y, center.z + distance);

  renderer.outputEncoding = THREE.sRGBEncoding;
  scene.background = new THREE.Color(0x26282c);
  scene.add(ambient, view, tracklight.target);
  view.add(key);
  key.position.set(-0.7 * distance, 0.7 * distance, 0);
  key.target = tracklight.target;
  tracklight.target.position.copy(center);
  head.traverse((part) => {
    if (!part.isMesh) return;
    if (!part.geometry.attributes.normal) part.geometry.computeVertexNormals();
    const coloured = { map: part.material.map, vertexColors: part.material.vertexColors };
    part.userData.photo = surface(coloured);
    part.userData.clay = surface({ color: 0x9a928a });
    part.userData.mesh = surface({ color: 0x9a928a, wireframe: true });
  });
  return view;
}

function surface(options) {
  return new THREE.MeshStandardMaterial({ roughness: 0.8, metalness: 0, side: THREE.DoubleSide, ...options });
}

function look(name) {
  scene.traverse((part) => {
    if (part.isMesh) part.material = part.userData[name];
  });
  ambient.intensity = looks[name].ambient;
  key.intensity = looks[name].key;
  tracklight.intensity = looks[name].front;
  for (const button of document.querySelectorAll("[data-look]")) {
    button.setAttribute("aria-pressed", button.dataset.look === name);
  }
  render();
}

function turn(degrees) {
  const angle = (degrees * Math.PI) / 180;
  camera.up.set(0, 1, 0);
  camera.position.set(center.x + distance * Math.sin(angle), center.y, center.z + distance * Math.cos(angle));
  controls.target.copy(center);
  controls.update();
  render();
}

function faceShown() {
  tell("");
  document.querySelector("nav").hidden = false;
  look("photo");
}

document.addEventListener("click", ({ target }) => {
  if (target.dataset.look) look(target.dataset.look);
  if (target.dataset.turn) turn(Number(target.dataset.turn));
});

function load(face) {
  const parts = face.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..")) return tell("No face is named.");
  const script = document.createElement("script");
  script.src = parts.map(encodeURIComponent).join("/") + ".js";
  script.onerror = () => tell("This face's file is missing.");
  document.head.append(script);
}

load(decodeURIComponent(location.hash.slice(1)));
