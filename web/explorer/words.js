// The Explorer's own words; node and widget names are in locales/.

const WORDS = {
  en: {
    heatmap: 'Heatmap',
    mask: 'Mask',
    segmentation: 'Segments',
    opacity: 'Opacity of the drawing over the picture',
    previous: 'Previous picture (up)',
    next: 'Next picture (down)',
    pin: 'Pin or unpin, together with what is pinned (Shift and click does the same)',
    row: 'Hover here to see where it is, click to pin it',
    background: 'background list',
    stage: 'Hover here to see what the model took a spot for, click to pin it. Left and right: the next concept. Enter: pin it.',
    empty: 'Run the workflow, and explore its concepts here.',
    gone: 'ComfyUI no longer has these maps: run the workflow again.',
    given: 'What is pinned comes from another node: change it there.',
  },
  zh: {
    heatmap: '热力图',
    mask: '遮罩',
    segmentation: '分割',
    opacity: '叠加在图片上的不透明度',
    previous: '上一张图片（上方向键）',
    next: '下一张图片（下方向键）',
    pin: '固定或取消固定，与已固定的概念合并（按住 Shift 点击效果相同）',
    row: '悬停查看它的位置，点击固定',
    background: '背景列表',
    stage: '悬停查看模型把这一处看作什么，点击固定。左右方向键：切换概念。回车键：固定。',
    empty: '运行工作流后，在这里探索各个概念。',
    gone: 'ComfyUI 已不再保存这些概念图：请重新运行工作流。',
    given: '固定的概念来自另一个节点：请在那里修改。',
  },
}

export function wordsOf(locale) {
  return WORDS[locale.toLowerCase().startsWith('zh') ? 'zh' : 'en']
}
